import type { JobState } from "../model/states.ts"
import type { Link } from "../store/link.ts"
import { scripts } from "../store/scripts.ts"

/** How far a task's jobs have come on their way to its current version. */
export interface MigrationState {
  /** Of the data that this app dispatches. */
  readonly version: number
  /** The oldest that its handler takes. */
  readonly since: number
  /** How many jobs there are of each version, by state; only what is there. Jobs that wait for a newer worker are waiting. */
  readonly versions: Readonly<Record<number, Readonly<Partial<Record<JobState, number>>>>>
  /**
   * The highest `since` with which no job that has yet to end fails for its age. Failed jobs are not asked: one that is tried
   * again after `since` has passed its version fails.
   */
  readonly safeSince: number
  /** Whether `since` can be raised now: to `safeSince`. */
  readonly canBumpSince: boolean
}

/** The collections of jobs that have yet to end, in the order in which most jobs move; and those of jobs that have ended. */
const going = {
  delayed: "delayed",
  newer: "waiting",
  parked: "waiting",
  waiting: "waiting",
  priority: "waiting",
  active: "active",
} as const
const ended = {
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
  expired: "expired",
} as const

type Counts = Map<number, Partial<Record<JobState, number>>>

/**
 * Reads all of a task's jobs, a hundred with each call. Jobs move meanwhile, so the numbers are close rather than exact; that
 * nothing old is left is believed only when a second look has found the same.
 */
export async function migrationsOf(
  link: Link,
  task: string,
  { version, since }: { readonly version: number; readonly since: number },
): Promise<MigrationState> {
  const counts: Counts = new Map()
  await count(link, task, going, counts)
  const safe = Math.min(version, ...counts.keys())
  const again: Counts = new Map()
  if (safe > since) await count(link, task, going, again)
  const safeSince = Math.max(since, Math.min(safe, ...again.keys()))
  await count(link, task, ended, counts)
  const versions = Object.fromEntries([...counts].sort(([one], [other]) => one - other))
  return { version, since, versions, safeSince, canBumpSince: safeSince > since }
}

async function count(
  link: Link,
  task: string,
  collections: Readonly<Record<string, JobState>>,
  counts: Counts,
): Promise<void> {
  const keys = link.keys(task)
  for (const [collection, state] of Object.entries(collections)) {
    for (let from: string | undefined = "0"; from !== undefined; ) {
      const [next, ...found]: readonly string[] = await link.run(scripts.versions, keys, {
        base: keys.base,
        collection,
        from,
      })
      for (let i = 0; i < found.length; i += 2) {
        const version = Number(found[i])
        const states = counts.get(version) ?? {}
        states[state] = (states[state] ?? 0) + Number(found[i + 1])
        counts.set(version, states)
      }
      from = next || undefined
    }
  }
}
