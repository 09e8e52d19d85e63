import type { WorkerErrorKind } from "../model/events.ts"
import type { TracePoint } from "../model/observer.ts"
import type { Observers } from "../model/observers.ts"
import type { Link } from "./link.ts"

/** What every part of a running app shares. */
export interface Core {
  readonly link: Link
  readonly observers: Observers
  /** Entries kept per task's stream, and results up to this many bytes travel in their event. */
  readonly events: { readonly maxLength: number; readonly inlineBytes: number }
  readonly payloadBytes: number
  /** A job of this process ended that is a node of a workflow. */
  nodeEnded(task: string, id: string): void
  /** What became of nodes that ran as this task's jobs may wait to be carried to their workflows. */
  nodesLeft(task: string): void
  /** Prints a failed attempt, unless somebody listens to failures. */
  logFailure(failure: LoggedFailure): void
  /** Tells `worker:error`; without a listener it is printed. */
  report(error: unknown, kind: WorkerErrorKind): void
  /** Prints an error that `worker:error` cannot be told of. */
  print(error: unknown, kind: WorkerErrorKind): void
}

export interface LoggedFailure {
  readonly task: string
  readonly id: string
  readonly attempt: number
  /** Absent where the task has no retry configured. */
  readonly maxAttempts?: number
  readonly willRetry: boolean
  /** With the stack, where there is one. */
  readonly text: string
  readonly trace?: TracePoint
}
