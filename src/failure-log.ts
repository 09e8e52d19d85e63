import type { EventHub } from "./events/hub.ts"
import type { WorkerError, WorkerErrorKind } from "./model/events.ts"
import type { Observers } from "./model/observers.ts"
import { cut, describeThrown, tame } from "./rules/thrown.ts"
import type { LoggedFailure } from "./store/core.ts"

const mostBytes = 16_384

/** Prints a failed attempt, so that none passes in silence; not where somebody listens to the task's failures. */
export function logFailure(failure: LoggedFailure, hub: EventHub): void {
  if (hub.hearsFailures(failure.task)) return
  const { task, id, attempt, maxAttempts, willRetry, trace } = failure
  const of = maxAttempts === undefined ? "" : `/${maxAttempts}`
  const head = `[taskora] task "${task}" job ${id} failed (attempt ${attempt}${of}${willRetry ? ", will retry" : ""})`
  const tail = trace ? `\ntrace_id=${trace.traceId} span_id=${trace.spanId}` : ""
  console.error(`${head}\n${cut(failure.text, mostBytes)}${tail}`)
}

/** Tells `worker:error`, or prints where nobody listens; the process never dies of it. */
export class Complaints {
  private telling = false
  private blaming = false
  private readonly blamed = new Set<string>()

  constructor(private readonly app: { readonly hub: () => EventHub; readonly observers: () => Observers }) {}

  report(thrown: unknown, kind: WorkerErrorKind): void {
    const error = asError(thrown, kind)
    this.app.observers().transition({ kind: "worker error", error, errorKind: kind })
    const { app } = this.app.hub()
    if (!this.telling && app.has("worker:error")) {
      this.telling = true
      try {
        app.emit("worker:error", error)
      } finally {
        this.telling = false
      }
    } else {
      this.print(error, kind)
    }
  }

  print(thrown: unknown, kind: WorkerErrorKind): void {
    console.error(`[taskora] ${kind} error: ${describeThrown(thrown).stack}`)
  }

  /** An observer threw: told once, counted each time. */
  observerFailed(observer: string, thrown: unknown): void {
    // An observer that fails at hearing of its own failure must not be told again.
    if (this.blaming) return
    const first = !this.blamed.has(observer)
    this.blamed.add(observer)
    this.blaming = true
    try {
      this.app.observers().transition({ kind: "observer error", observer })
      if (first) this.report(thrown, "observer")
    } finally {
      this.blaming = false
    }
  }
}

function asError(reported: unknown, kind: WorkerErrorKind): WorkerError {
  const thrown = tame(reported)
  if (thrown instanceof Error && named(thrown, kind)) return thrown
  const error = new Error(describeThrown(thrown).message, { cause: thrown })
  named(error, kind)
  return error
}

/** Writes our kind over whatever the error calls so itself; false where it cannot be written to. */
function named(error: Error, kind: WorkerErrorKind): boolean {
  const own = { value: kind, writable: true, enumerable: true, configurable: true }
  try {
    return Reflect.defineProperty(error, "kind", own)
  } catch {
    // A proxy whose trap throws: as good as frozen.
    return false
  }
}
