import type {
  EventMeta,
  Progress,
  TaskEventName,
  TaskEvents,
  WorkerErrorKind,
} from "../../src/model/events.ts"

/** A type in the words of the reference page; none for a type that the page has no word for yet. */
type TypeText<T> = unknown extends T
  ? "the handler's result"
  : [T] extends [true]
    ? "true"
    : [T] extends [boolean]
      ? "boolean"
      : [T, Progress] extends [Progress, T]
        ? "number | object"
        : [T] extends [number]
          ? "number"
          : [T] extends [string]
            ? string extends T
              ? "string"
              : Literals<T>
            : never

/** A union of two words, in either order. */
type Literals<T extends string> = { [A in T]: `"${A}" | "${Exclude<T, A>}"` }[T]

export interface FieldFacts<T = never> {
  readonly type: [T] extends [never] ? string : TypeText<T>
  readonly meaning: string
}

/** A line for each field of a payload, no more and no fewer; `optional` just where the field is. */
export type FieldsOf<P> = {
  readonly [K in keyof P]-?: FieldFacts<Exclude<P[K], undefined>> &
    (Record<never, never> extends Pick<P, K> ? { readonly optional: true } : { readonly optional?: never })
}

export interface EventFacts<P = never> {
  readonly when: string
  /** The one process that makes the transition, and counts it. */
  readonly by: string
  readonly fields: [P] extends [never]
    ? Readonly<Record<string, FieldFacts & { readonly optional?: true }>>
    : FieldsOf<P>
}

const id = { type: "string", meaning: "the job" } as const
const attempt = { type: "number", meaning: "number of the attempt, from 1" } as const
const error = { type: "string", meaning: "message of what was thrown, at most 4 KiB" } as const

/** What the events of a task tell. A field that `src/model/events.ts` gains or loses does not compile here. */
export const taskEventFacts: { readonly [K in TaskEventName]: EventFacts<TaskEvents[K]> } = {
  active: {
    when: "A worker began an attempt; once per claim, so again with the same number after a stall or a hand-back.",
    by: "the worker that claimed the job",
    fields: { id, attempt },
  },
  progress: {
    when: "The handler called `ctx.progress()`: the first ten reports of a run at once, then at most one per 100 ms, the last one always, before the outcome.",
    by: "the worker that runs the attempt",
    fields: { id, progress: { type: "number | object", meaning: "what was reported" } },
  },
  completed: {
    when: "The handler's result was stored.",
    by: "the worker that ran the attempt",
    fields: {
      id,
      result: {
        type: "the handler's result",
        meaning: "undefined where `meta.resultTruncated` says that it was too large and is gone",
      },
      duration: {
        type: "number",
        meaning: "whole ms of this attempt, handler and middleware, by the worker's monotonic clock",
      },
      attempt,
    },
  },
  failed: {
    when: "An attempt failed; once per failed attempt. Also after a `stalled` whose action is `failed`.",
    by: "the worker that ran the attempt; of a job that stalled too often, the process that recovered it",
    fields: {
      id,
      error,
      attempt,
      willRetry: { type: "boolean", meaning: "false: the job failed for good" },
    },
  },
  retrying: {
    when: "Another attempt was scheduled; follows the `failed` of the same attempt.",
    by: "the worker that ran the attempt",
    fields: {
      id,
      attempt: { type: "number", meaning: "number of the attempt that failed" },
      nextAttempt: { type: "number", meaning: "number of the one that follows" },
      error,
    },
  },
  stalled: {
    when: "The job's lease ran out: its worker vanished, or hung for too long.",
    by: "the process that recovered the job",
    fields: {
      id,
      count: { type: "number", meaning: "stalls in this life of the job, from 1" },
      action: {
        type: '"recovered" | "failed"',
        meaning: "it waits again, or stalled more often than `stall.maxCount` allows",
      },
    },
  },
  cancelled: {
    when: "The job was cancelled, before it began or while it ran.",
    by: "the process that called `cancel()`; of an active job its worker, or whoever recovered it",
    fields: {
      id,
      reason: {
        type: "string",
        optional: true,
        meaning: "what `cancel({ reason })` was given; no key where it was given none",
      },
    },
  },
  expired: {
    when: "The job was not started within its `ttl`; not told where the task discards such jobs. Also in backoff before a retry.",
    by: "the process that noticed it: a worker that came across the job, or whose upkeep found it due",
    fields: { id, attempt: { type: "number", meaning: "attempts begun before, 0 for none" } },
  },
}

/** What the second argument of a listener tells. */
export const metaFacts: FieldsOf<EventMeta> = {
  timestamp: { type: "number", meaning: "when the transition happened: server time, ms since the epoch" },
  seq: { type: "number", meaning: "number of the transition within its task, rising by one each" },
  instance: { type: "string", meaning: "the app instance that made the transition" },
  resultTruncated: {
    type: "true",
    optional: true,
    meaning: "the result was above `events.inlineBytes`, and its job was trimmed before it could be fetched",
  },
}

/** The events of this process's own workers. They are not written to the store: no other process hears them. */
export const workerEventFacts = {
  "worker:ready": {
    when: "`start()` has connected, noted where the event streams end, and started the workers.",
    payload: "none",
  },
  "worker:error": {
    when: "Something went wrong that no call can be told of. Without a listener it is printed; the process never ends by it.",
    payload: "an `Error`, with `kind`",
  },
  "worker:closing": {
    when: "`close()` was called on an app that had started; nothing is claimed from here on.",
    payload: "none",
  },
} as const

export const workerErrorFacts: Readonly<Record<WorkerErrorKind, string>> = {
  connection: "the connection to the store was lost; once per outage",
  listener: "a listener threw or rejected",
  events_lost: "`EventsLostError`: events were trimmed before this process read them",
  script: "the store refused a call of the engine's own",
  observer: "an observer threw; once per observer, and counted each time",
  dispatch: "a dispatch failed that nobody awaited",
  other: "anything else, such as an error in `onCancel` or a handler that outlives its timeout",
}
