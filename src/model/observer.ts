import type { Progress, StallAction, WorkerErrorKind } from "./events.ts"
import type { Source } from "./source.ts"

export { type QueueSnapshot, type TaskQueue, type TransitionName, transitionNames } from "./queue-snapshot.ts"
export type { Objectives, ScheduleFacts, SlotUse, Source, TaskFacts } from "./source.ts"

/**
 * The one seam between the engine and telemetry. The engine imports neither OpenTelemetry nor prom-client; it calls
 * observers. Every transition is reported in exactly one process: the one whose script call made it.
 *
 * An observer that throws never disturbs a job: it is reported once on `worker:error` and counted.
 * All hooks are optional; one that is missing costs nothing.
 */
export interface Observer {
  /** Names the observer in `taskora.observer.errors` and in messages. */
  readonly name: string
  /** Given once, by `createTaskora`: facts that the engine keeps and an observer reads when it needs them. */
  source?(source: Source): void
  /** Called at start(), listen() or the first dispatch, whichever is first, and awaited by start() and listen(). */
  open?(): Promise<void> | void
  /** Called at the end of close(), after the last transition. Bounded by the app's close timeout. */
  close?(): Promise<void> | void
  /** Called as user code dispatches, in its context. Returns the headers to store with the job(s). */
  dispatching?(dispatch: Dispatch): JobHeaders | readonly JobHeaders[] | undefined
  /**
   * Runs one attempt: `run` holds everything of the user's (middleware, handler, onCancel, backoff, serializer), and
   * must be called exactly once, synchronously, its value returned unchanged. What context it runs in is up to the observer.
   */
  attempt?<T>(attempt: Attempt, run: () => T): T
  /** Something happened, and this process made it happen. */
  transition?(transition: Transition): void
  /** Wraps the engine's own I/O: `run` must be called exactly once, synchronously, its promise returned. */
  storeCall?<T>(call: StoreCall, run: () => Promise<T>): Promise<T>
}

/** Small strings that travel with a job, such as `traceparent`, `tracestate` and `baggage`. At most 8 KiB in all. */
export type JobHeaders = Readonly<Record<string, string>>

export type TraceRelation = "auto" | "parent" | "link"

/** One call of `dispatch` (count 1) or `dispatchMany`. The same object comes back in `dispatched` and `rejected`. */
export interface Dispatch {
  readonly task: string
  /** Absent where there are several. */
  readonly id?: string
  /** Those of `dispatchMany`, where they are known this early: for spans of each job. */
  readonly ids?: readonly string[]
  readonly count: number
  readonly many: boolean
  readonly delayMs: number
  readonly priority: number
  readonly relation?: TraceRelation
  /** What may keep its one job from being stored, or let it replace another. */
  readonly gate?: "debounce" | "throttle" | "deduplicate" | "jobId"
  /** True of a workflow: `task` is its name then, and `count` says of how many nodes it is made. */
  readonly workflow?: true
  /** The schedule that fired, where it was no call of the user's; what is active then is nobody's context. */
  readonly schedule?: string
}

/** Names a position in a trace, in W3C's terms (lower-case hex). */
export interface TracePoint {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
}

/** One run of a job, from its claim to the answer of its settlement. The same object is in each of its transitions. */
export interface Attempt {
  readonly task: string
  readonly id: string
  /** From 1. */
  readonly attempt: number
  readonly maxAttempts: number
  readonly priority: number
  /** Server times, ms since the epoch. `lifeStart`: created, due, or revived. */
  readonly createdAt: number
  readonly eligibleAt: number
  readonly claimedAt: number
  readonly lifeStart: number
  readonly delayMs: number
  /** `eligibleAt` to `claimedAt`, never negative, ms. */
  readonly waitMs: number
  readonly payloadBytes: number
  /** What `dispatching` returned when the job was dispatched. */
  readonly headers: JobHeaders
  /** `traceparent` of this job's previous run, where it is known. */
  readonly previousRun?: string
  /** When the previous run ended, server time; known where there was one that failed. */
  readonly previousEndedAt?: number
  /** From the task's options or the dispatch, the narrower one. */
  readonly relation?: TraceRelation
  /** `traceparent`s of the runs that a workflow's node builds upon. */
  readonly links?: readonly string[]
  /** The app instance. */
  readonly worker: string
  /** Filled by a tracing observer before any other hears of the attempt; metrics read exemplars here. */
  trace?: TracePoint
}

/** `expired`: of a job that was not started in time, and so of no attempt. */
export type FailureCause = "error" | "timeout" | "stalled" | "expired" | "other"
export type RejectReason =
  | "serialization"
  | "too_large"
  | "validation"
  | "connection"
  | "store_full"
  | "unconfirmed"
  /** Options that are not allowed: the call threw. */
  | "invalid"
  | "throttled"
  /** Another job stands for it: `deduplicate`, `jobId`. */
  | "duplicate"
  /** Stored, and replaced by a later one before its time. */
  | "debounced"
  | "other"

export type Transition =
  | {
      readonly kind: "dispatched"
      readonly dispatch: Dispatch
      readonly stored: number
      /** Not stored, because another job stands for them. */
      readonly duplicates: number
      /** Not stored, because a throttle refused them; absent for none. */
      readonly throttled?: number
      /** Jobs whose place the stored ones took; each is told as `removed` too. Absent for none. */
      readonly replaced?: number
      readonly payloadBytes: readonly number[]
    }
  | {
      readonly kind: "rejected"
      readonly dispatch: Dispatch
      readonly count: number
      readonly reason: RejectReason
      readonly error: Error
    }
  | { readonly kind: "workflow started"; readonly dispatch: Dispatch }
  /** It could not be stored. */
  | { readonly kind: "workflow refused"; readonly dispatch: Dispatch; readonly error: Error }
  /** Told by the process whose call ended it. */
  | {
      readonly kind: "workflow ended"
      readonly id: string
      readonly name: string
      readonly outcome: "completed" | "failed" | "cancelled"
      /** Of its dispatch. */
      readonly headers: JobHeaders
      /** From its dispatch, server time. */
      readonly durationMs: number
    }
  | { readonly kind: "active"; readonly attempt: Attempt }
  | { readonly kind: "progress"; readonly attempt: Attempt; readonly progress: Progress }
  | (Outcome & { readonly kind: "completed"; readonly resultBytes: number; readonly totalMs: number })
  | (Outcome & {
      readonly kind: "failed"
      readonly cause: FailureCause
      /** Class name of what was thrown. */
      readonly errorType: string
      readonly error: unknown
      readonly willRetry: boolean
      /** Where it retries: backoff to the next attempt. */
      readonly delayMs?: number
      /** Where it does not: `lifeStart` to now. */
      readonly totalMs?: number
    })
  /** Follows the `failed` with `willRetry` of the same attempt. */
  | {
      readonly kind: "retrying"
      readonly attempt: Attempt
      readonly nextAttempt: number
      readonly delayMs: number
    }
  | (Outcome & { readonly kind: "cancelled"; readonly reason?: string; readonly totalMs: number })
  /** Handed back at shutdown; the same attempt number runs again. */
  | (Outcome & { readonly kind: "released" })
  /** The lease was lost; somebody else decided what became of the job. In no sum. */
  | (Outcome & { readonly kind: "lost" })
  /** Cancelled by this process's `cancel()` while no worker held it; `active` when the request of a lost lease was honoured by recovery. */
  | {
      readonly kind: "removed"
      readonly task: string
      readonly id: string
      readonly state: "waiting" | "delayed" | "active"
      readonly reason?: string
      readonly totalMs: number
      /** Attempts started; 0 for a job that never ran. */
      readonly attempts: number
      readonly headers: JobHeaders
      readonly previousRun?: string
    }
  /** A job was not started within its `ttl`, and this process noticed it. */
  | {
      readonly kind: "expired"
      readonly task: string
      readonly id: string
      /** It leaves no trace but the counters: no event, no record. */
      readonly discarded: boolean
      /** `lifeStart` to now. */
      readonly totalMs: number
      /** Attempts begun before; 0 for a job that never ran. */
      readonly attempts: number
      readonly headers: JobHeaders
      readonly previousRun?: string
    }
  /** A cancel of an active job was asked for by this process (`cancel()` answered "requested"). */
  | {
      readonly kind: "cancel requested"
      readonly task: string
      readonly id: string
      readonly headers: JobHeaders
      readonly previousRun?: string
    }
  /** Failed jobs were given another life by this process: `deadLetters.retry()` and `retryAll()`, in batches. */
  | {
      readonly kind: "revived"
      readonly task: string
      readonly jobs: readonly {
        readonly id: string
        readonly headers: JobHeaders
        /** `traceparent` of the last run of the life that failed, where it is known. */
        readonly previousRun?: string
      }[]
    }
  /** Recovery found a lease that had run out. `failed`: the job failed for good (attempts.failed{StalledError}, jobs.failed{stalled} too). */
  | {
      readonly kind: "stalled"
      readonly task: string
      readonly id: string
      readonly action: StallAction
      readonly count: number
      /** The attempt that was running. */
      readonly attempt: number
      readonly headers: JobHeaders
      /** `traceparent` of the lost run, where it is known. */
      readonly previousRun?: string
      /** The lease's deadline to its recovery. */
      readonly recoveryMs: number
      readonly totalMs: number
    }
  | { readonly kind: "worker ready"; readonly tasks: readonly string[] }
  | { readonly kind: "worker closing" }
  | { readonly kind: "worker closed" }
  | { readonly kind: "worker error"; readonly error: Error; readonly errorKind: WorkerErrorKind }
  /** Entries handed to this process's listeners; `lagMs`: transition to delivery, by an estimated offset of the server's clock. */
  | { readonly kind: "delivered"; readonly task: string; readonly count: number; readonly lagMs: number }
  | { readonly kind: "events lost"; readonly task: string; readonly lost: number }
  | { readonly kind: "observer error"; readonly observer: string }
  /** A slot's job was stored; follows its `dispatched`. `lateMs`: from when it should have fired. */
  | {
      readonly kind: "schedule fired"
      readonly schedule: string
      readonly task: string
      readonly id: string
      /** ms since the epoch. */
      readonly slot: number
      readonly lateMs: number
    }
  /** Slots were left out because nobody fired them in time. */
  | { readonly kind: "schedule missed"; readonly schedule: string; readonly count: number }
  | {
      readonly kind: "schedule skipped"
      readonly schedule: string
      readonly reason: SkipReason
      readonly count: number
    }
  /** A line of `ctx.log`. */
  | {
      readonly kind: "log"
      readonly attempt: Attempt
      readonly level: LogLevel
      readonly message: string
      readonly meta?: unknown
    }

/** Why a slot was left out though it was due: the job of the last firing had not ended. */
export type SkipReason = "overlap"

export type LogLevel = "info" | "warn" | "error"

interface Outcome {
  readonly attempt: Attempt
  /** Handler and middleware of this attempt by the monotonic clock, ms with fractions; at a timeout, the timeout. */
  readonly durationMs: number
}

export interface StoreCall {
  /** The script's name, or `read` / `wait` for the blocking waits, or `connect`. */
  readonly script: string
  readonly blocking: boolean
  /** Set on calls that dispatch or settle: the task whose jobs they carry. */
  readonly task?: string
}
