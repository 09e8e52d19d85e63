import type { Stale } from "./replies.ts"
import type { Reply } from "./store.ts"

export interface Revived {
  /** `traceparent` of the last run of the life before, where it is known. */
  readonly run: string
  /** Headers of observers, JSON. */
  readonly headers: string
}

export interface ReviveReply {
  readonly at: number
  /** One letter a job: `r` revived, `f` not failed (or at another time), `u` unknown. */
  readonly words: string
  /** Of those that were revived, in order. */
  readonly revived: readonly Revived[]
}

export function decodeRevive(reply: Reply): ReviveReply | Stale {
  const [word, at, words, ...rest] = reply as [string, number, string, ...string[]]
  if (word === "stale") return "stale"
  const revived = Array.from({ length: rest.length / 2 }, (_, i) => ({
    run: rest[2 * i]!,
    headers: rest[2 * i + 1]!,
  }))
  return { at, words, revived }
}

/** One letter a job: `d` discarded, `f` not failed (or at another time), `u` unknown. */
export function decodeDiscard(reply: Reply): { readonly at: number; readonly words: string } | Stale {
  const [word, at, words] = reply as [string, number, string]
  return word === "stale" ? "stale" : { at, words }
}

export function decodeClean(reply: Reply): { readonly at: number; readonly count: number } | Stale {
  const [word, at, count] = reply as [string, number, number]
  return word === "stale" ? "stale" : { at, count }
}

/** A failed job as its task's set tells of it. */
export interface Failure {
  /** Number of the transition that failed it: a position in the set that stays where it is. */
  readonly seq: number
  readonly id: string
  /** Server time, ms. */
  readonly finished: number
  /** The error, JSON; "" where its record is gone or damaged. */
  readonly outcome: string
}

export function decodeFailures(reply: Reply): readonly Failure[] {
  const parts = reply as string[]
  return Array.from({ length: parts.length / 4 }, (_, i) => {
    const [seq, id, finished, outcome] = parts.slice(4 * i, 4 * i + 4) as [string, string, string, string]
    return { seq: Number(seq), id, finished: Number(finished), outcome }
  })
}
