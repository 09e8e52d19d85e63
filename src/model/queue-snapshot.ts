/** What one read of the store says of all queues. */
export interface QueueSnapshot {
  /** Server time of the read. */
  readonly at: number
  readonly tasks: readonly TaskQueue[]
  /** Live worker processes in the cluster. */
  readonly workers: number
  /** Workflows that have not ended, where they could be counted. */
  readonly workflows?: number
}

export interface TaskQueue {
  readonly task: string
  readonly waiting: number
  readonly delayed: number
  readonly active: number
  /** Waiting for a slot of their concurrency key. */
  readonly parked: number
  readonly paused: boolean
  /** When the oldest job that could run became eligible, ms since the epoch; 0 when there is none. */
  readonly oldestAt: number
  /** Live worker processes that run this task. */
  readonly workers: number
  /** Every transition ever made, by kind: the counters of `:stats`. */
  readonly transitions: Readonly<Record<TransitionName, number>>
  /** What the registry says of the task, where the whole cluster is read. */
  readonly info?: { readonly owner?: string; readonly runbook?: string }
}

/** The kinds of transition that `:stats` counts, in the order in which they are shown. */
export const transitionNames = [
  "dispatched",
  "started",
  "completed",
  "failed",
  "attempts_failed",
  "retried",
  "stalled_recovered",
  "stalled_failed",
  "cancelled_waiting",
  "cancelled_delayed",
  "cancelled_active",
  "released",
  "promoted",
  "revived",
  "expired",
  "discarded",
] as const
export type TransitionName = (typeof transitionNames)[number]
