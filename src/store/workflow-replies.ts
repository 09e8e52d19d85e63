import type { Stale } from "./replies.ts"
import type { Reply } from "./store.ts"

export type WorkflowState = "running" | "failing" | "cancelling" | "completed" | "failed" | "cancelled"

export interface AdvanceReply {
  readonly state: WorkflowState | "gone"
  readonly at: number
  /** Number of the node whose end stopped the workflow; "" for none. */
  readonly failed: string
  /** Error or reason, JSON; "" for none. */
  readonly error: string
  readonly name: string
  readonly headers: string
  /** There is more to do at once. */
  readonly more: boolean
  readonly work: readonly NodeWork[]
}

export interface NodeWork {
  /** d dispatch, x cancel. */
  readonly kind: "d" | "x"
  readonly node: string
  /** As it was planned, or the node's task. */
  readonly text: string
}

export function decodeAdvance(reply: Reply): AdvanceReply {
  const [state, at, failed, error, name, , headers, more, ...rest] = reply as [
    AdvanceReply["state"],
    number,
    ...string[],
  ]
  const work: NodeWork[] = []
  for (let i = 0; i < rest.length; i += 3)
    work.push({ kind: rest[i] as NodeWork["kind"], node: rest[i + 1]!, text: rest[i + 2]! })
  return {
    state,
    at,
    failed: failed!,
    error: error!,
    name: name!,
    headers: headers!,
    more: more === "1",
    work,
  }
}

export function decodeEnrol(reply: Reply): { readonly at: number } | Stale {
  const [word, at] = reply as [string, number]
  return word === "stale" ? "stale" : { at }
}

export interface ConcludeReply {
  readonly at: number
  /** This very call ended it. */
  readonly concluded: boolean
  readonly seq: number
  readonly durationMs: number
}

export function decodeConclude(reply: Reply): ConcludeReply | Stale {
  const [word, at, seq, took] = reply as [string, number, string, string]
  if (word === "stale") return "stale"
  return { at, concluded: word === "concluded", seq: Number(seq), durationMs: Number(took) }
}
