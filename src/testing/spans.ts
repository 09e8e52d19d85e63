import { AsyncLocalStorage } from "node:async_hooks"
import { randomBytes } from "node:crypto"
import type { Attempt, Dispatch, JobHeaders, Observer, TracePoint, Transition } from "../model/observer.ts"

/** What was traced: a span as `opentelemetry()` names and places it, with the little that tests ask for. */
export interface RecordedSpan {
  /** `send <task>`, `process <task>`, `recover <task>`, `cancel <task>` or `retry <task>`. */
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  /** Ids of the spans that it is linked to. */
  readonly links: readonly string[]
  readonly task: string
  /** Absent where the span is about several jobs. */
  readonly id?: string
  readonly attempt?: number
  /** How a run ended; absent while it goes on. */
  outcome?: "completed" | "failed" | "retried" | "cancelled" | "released" | "lost"
  /** Class of the error. */
  errorType?: string
}

/** After so long a run begins a trace of its own, linked to the old one: as `opentelemetry()` does by default. */
const linkAfterMs = 60_000

/** Records spans, by the same seam that telemetry is fed by. */
export class SpanRecorder implements Observer {
  readonly name = "test runner's spans"
  readonly spans: RecordedSpan[] = []
  private readonly inside = new AsyncLocalStorage<TracePoint>()
  private readonly running = new Map<Attempt, RecordedSpan>()

  dispatching(dispatch: Dispatch): JobHeaders {
    const { task, id } = dispatch
    const span = this.add(
      `send ${task}`,
      { task, ...(id === undefined ? {} : { id }) },
      this.inside.getStore(),
      [],
    )
    return { traceparent: `00-${span.traceId}-${span.spanId}-01` }
  }

  attempt<T>(attempt: Attempt, run: () => T): T {
    const sent = pointOf(attempt.headers.traceparent)
    const previous = pointOf(attempt.previousRun)
    const links = [sent, previous].filter((point) => point !== undefined)
    const { task, id, attempt: number } = attempt
    const span = this.add(
      `process ${task}`,
      { task, id, attempt: number },
      parentOf(attempt, sent, previous),
      links,
    )
    this.running.set(attempt, span)
    attempt.trace = { traceId: span.traceId, spanId: span.spanId, sampled: true }
    return this.inside.run(attempt.trace, run)
  }

  transition(transition: Transition): void {
    switch (transition.kind) {
      case "completed":
      case "cancelled":
      case "released":
      case "lost":
        this.end(transition.attempt, transition.kind)
        break
      case "failed":
        this.end(transition.attempt, transition.willRetry ? "retried" : "failed", transition.errorType)
        break
      case "stalled":
        this.about(transition, "recover", pointOf(transition.headers.traceparent))
        break
      case "removed":
      case "cancel requested":
        this.about(transition, "cancel", this.inside.getStore())
        break
      case "revived":
        for (const job of transition.jobs)
          this.about({ ...job, task: transition.task }, "retry", this.inside.getStore())
        break
    }
  }

  private end(attempt: Attempt, outcome: NonNullable<RecordedSpan["outcome"]>, errorType?: string): void {
    const span = this.running.get(attempt)
    this.running.delete(attempt)
    if (span) Object.assign(span, { outcome }, errorType === undefined ? {} : { errorType })
  }

  private about(
    job: {
      readonly task: string
      readonly id: string
      readonly headers: JobHeaders
      readonly previousRun?: string
    },
    operation: string,
    parent: TracePoint | undefined,
  ): void {
    const links = [pointOf(job.headers.traceparent), pointOf(job.previousRun)].filter(
      (point) => point !== undefined,
    )
    this.add(`${operation} ${job.task}`, { task: job.task, id: job.id }, parent, links)
  }

  private add(
    name: string,
    facts: Pick<RecordedSpan, "task" | "id" | "attempt">,
    parent: TracePoint | undefined,
    links: readonly TracePoint[],
  ): RecordedSpan {
    const span: RecordedSpan = {
      name,
      traceId: parent?.traceId ?? randomBytes(16).toString("hex"),
      spanId: randomBytes(8).toString("hex"),
      ...(parent ? { parentSpanId: parent.spanId } : {}),
      links: links.map(({ spanId }) => spanId),
      ...facts,
    }
    this.spans.push(span)
    return span
  }
}

function parentOf(
  { relation = "auto", eligibleAt, previousEndedAt, createdAt }: Attempt,
  sent: TracePoint | undefined,
  previous: TracePoint | undefined,
): TracePoint | undefined {
  if (relation === "parent") return sent
  if (relation === "link" || eligibleAt - (previousEndedAt ?? createdAt) > linkAfterMs) return undefined
  return previous && previous.traceId !== sent?.traceId ? previous : sent
}

function pointOf(traceparent: string | undefined): TracePoint | undefined {
  const [, traceId, spanId] = /^00-([\da-f]{32})-([\da-f]{16})-/.exec(traceparent ?? "") ?? []
  return traceId && spanId ? { traceId, spanId, sampled: true } : undefined
}
