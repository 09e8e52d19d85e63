import type { QueueSnapshot } from "./queue-snapshot.ts"

/** What the engine knows and observers may read, at any time, without cost to a job. */
export interface Source {
  /** This app instance, unique among all processes. */
  readonly instance: string
  readonly version: string
  readonly adapter: "redis" | "memory"
  /** The user's prefix, or "". */
  readonly prefix: string
  readonly clock: { now(): number; monotonic(): number }
  /** Where the store is, for `server.address`; absent for the embedded engine. */
  server(): { readonly address?: string; readonly port?: number }
  tasks(): readonly TaskFacts[]
  /** Called whenever a task is declared, also for those declared before. */
  onTask(listener: (task: TaskFacts) => void): void
  /** Schedules that this process declares, with what it knows of them. */
  schedules(): readonly ScheduleFacts[]
  /** Called whenever a schedule is declared, also for those declared before. */
  onSchedule(listener: (schedule: string) => void): void
  /** Slots of this process's workers, per task with a handler. */
  slots(): readonly SlotUse[]
  /** True while commands can be sent to the store. */
  connected(): boolean
  /** True when workers run, or when the app has none to run and is connected. */
  ready(): boolean
  /** True where there is no app: only what is read from the store is known, of every task in it. */
  readonly clusterOnly?: true
  /** One read of the whole queue for everybody: single flight, at most 1 s old; undefined if the store did not answer within `timeoutMs`. */
  queue(timeoutMs: number): Promise<QueueSnapshot | undefined>
}

export interface TaskFacts {
  readonly name: string
  /** True where this process runs it. */
  readonly handled: boolean
  readonly owner?: string
  readonly runbook?: string
  readonly timeoutMs: number
  readonly objectives?: Objectives
}

export interface ScheduleFacts {
  readonly name: string
  /** When it fires next, ms since the epoch; absent while that is unknown, while it is paused, and where it never will. */
  readonly nextAt?: number
}

/** Objectives of a task, as resolved from the user's options. */
export interface Objectives {
  readonly success?: number
  readonly wait?: { readonly withinMs: number; readonly target: number }
  readonly duration?: { readonly withinMs: number; readonly target: number }
}

export interface SlotUse {
  readonly task: string
  readonly busy: number
  readonly idle: number
  /** Held by handlers that go on after their attempt was settled. */
  readonly abandoned: number
}
