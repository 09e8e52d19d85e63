import type { Context, Link } from "@opentelemetry/api"
import type { Attempt, TraceRelation } from "../../src/model/observer.ts"
import { isSampled, parseTraceparent, type Sent } from "./context.ts"

export interface RelationRule {
  readonly relation: TraceRelation
  /** In `auto`: how long after the dispatch, or after the previous run, a run still joins that trace. */
  readonly linkAfterMs: number
}

/** Where a run's span begins: under which context, and linked to what. */
export interface Origin {
  readonly parent: Context
  readonly links: Link[]
}

/** Decides it for one run. */
export function relate(attempt: Attempt, sent: Sent, rule: RelationRule): Origin {
  const dispatch = sent.position
  const previous = parseTraceparent(attempt.previousRun)
  const links: Link[] = []
  if (dispatch) links.push({ context: dispatch })
  if (previous) links.push({ context: previous })
  for (const run of attempt.links ?? []) {
    const position = parseTraceparent(run)
    if (position) links.push({ context: position })
  }

  // A new trace would be sampled anew: the attempts of an unsampled dispatch must stay unsampled.
  if (dispatch && !isSampled(dispatch)) return { parent: sent.context, links }

  const relation = attempt.relation ?? rule.relation
  if (relation === "parent") return { parent: sent.context, links }
  if (relation === "link" || isLate(attempt, rule.linkAfterMs)) return { parent: sent.withoutTrace, links }
  const joinsPrevious = previous !== undefined && previous.traceId !== dispatch?.traceId
  return { parent: joinsPrevious ? sent.at(previous) : sent.context, links }
}

/**
 * True where joining would make a trace that goes on for too long. Runs that were lost or handed back leave no end
 * behind: then the dispatch is what is known.
 */
function isLate(attempt: Attempt, linkAfterMs: number): boolean {
  return attempt.eligibleAt - (attempt.previousEndedAt ?? attempt.createdAt) > linkAfterMs
}
