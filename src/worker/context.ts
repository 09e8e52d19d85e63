import type { Context, MiddlewareContext } from "../model/context.ts"
import { durationMs } from "../model/duration.ts"
import { RetryError } from "../model/errors.ts"
import type { Progress } from "../model/events.ts"
import type { LogLevel, TracePoint } from "../model/observer.ts"
import type { Run } from "./run.ts"

/** What a context needs of the worker around it. */
export interface Voice {
  progress(run: Run, value: Progress): void
  log(run: Run, level: LogLevel, message: string, meta: unknown): void
  heartbeat(run: Run): Promise<void>
}

/** The handler's context: a small object whose costly parts are made when they are asked for. */
export class RunContext implements MiddlewareContext {
  result: unknown = undefined
  readonly id: string
  readonly attempt: number
  readonly timestamp: number

  constructor(
    private readonly run: Run,
    private readonly voice: Voice,
    public data: unknown,
  ) {
    this.id = run.attempt.id
    this.attempt = run.attempt.attempt
    this.timestamp = run.attempt.createdAt
  }

  get task(): { readonly name: string } {
    return { name: this.run.attempt.task }
  }

  get signal(): AbortSignal {
    return this.run.signal
  }

  get log(): Context["log"] {
    const say = (level: LogLevel) => (message: string, meta?: unknown) =>
      this.voice.log(this.run, level, message, meta)
    return { info: say("info"), warn: say("warn"), error: say("error") }
  }

  get traceparent(): string | undefined {
    return traceparent(this.run.attempt.trace)
  }

  // Arrow functions, so that users may take them off the context.
  readonly progress = (value: Progress): void => this.voice.progress(this.run, value)
  readonly heartbeat = (): Promise<void> => {
    const renewed = this.voice.heartbeat(this.run)
    // Beaten by a timer, it is awaited by nobody: its failure must not end the process.
    renewed.catch(() => {})
    return renewed
  }
  readonly retry: Context["retry"] = ({ delay, reason } = {}) =>
    new RetryError(
      reason ?? "retry asked for by the handler",
      delay === undefined ? undefined : durationMs(delay, "ctx.retry: delay"),
    )
}

/** The run's `traceparent`, where it must still be stored; that of the dispatch, which runs that are not sampled go under, is. */
export function traceToStore({ attempt, traceStored }: Run): string {
  const { trace, headers } = attempt
  if (traceStored || !trace || (!trace.sampled && headers.traceparent?.includes(trace.spanId))) return ""
  return traceparent(trace)!
}

/** W3C Trace Context, version 00. */
export function traceparent(point: TracePoint | undefined): string | undefined {
  return point && `00-${point.traceId}-${point.spanId}-${point.sampled ? "01" : "00"}`
}
