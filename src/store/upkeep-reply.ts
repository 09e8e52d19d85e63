import type { StallAction } from "../model/events.ts"
import type { Expired, Stale } from "./replies.ts"
import type { Reply } from "./store.ts"

export interface UpkeepReply {
  readonly at: number
  readonly tasks: readonly (TaskUpkeep | Stale)[]
}

export interface TaskUpkeep {
  /** A batch was full: call again at once. */
  readonly more: boolean
  /** What became of nodes of workflows may have been left behind. */
  readonly outbox: boolean
  readonly due: number
  readonly promoted: number
  readonly stalled: readonly Stalled[]
  readonly expired: readonly Expired[]
}

export interface Stalled {
  readonly id: string
  readonly action: StallAction | "cancelled"
  readonly count: number
  /** When the lease ran out. */
  readonly deadline: number
  /** The record before recovery, without data. */
  readonly record: string
  /** The request that cancelled it (JSON, or ""). */
  readonly reason: string
}

export function decodeUpkeep(reply: Reply): UpkeepReply {
  const [at, ...groups] = reply as [number, ...string[][]]
  return { at, tasks: groups.map(decodeTaskUpkeep) }
}

function decodeTaskUpkeep([word, more, due, promoted, ...rest]: string[]): TaskUpkeep | Stale {
  if (word === "stale") return "stale"
  const stalled: Stalled[] = []
  const expired: Expired[] = []
  for (let i = 0; i < rest.length; i += 6) {
    const [id, action, count, deadline, record, reason] = rest.slice(i, i + 6) as [
      string,
      Stalled["action"] | "expired",
      ...string[],
    ]
    if (action === "expired") {
      expired.push({ id, record: record! })
      continue
    }
    stalled.push({
      id,
      action,
      count: Number(count),
      deadline: Number(deadline),
      record: record!,
      reason: reason!,
    })
  }
  return {
    more: more!.startsWith("1"),
    outbox: more!.endsWith("o"),
    due: Number(due),
    promoted: Number(promoted),
    stalled,
    expired,
  }
}
