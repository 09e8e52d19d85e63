import * as api from "@opentelemetry/api"
import type { LogLevel, Transition } from "../../src/model/observer.ts"
import { type SpanAttributes, scopeName } from "./conventions.ts"
import type { Redact } from "./options.ts"

type Line = Extract<Transition, { kind: "log" }>

/** The part of OpenTelemetry's Logs API that is used. Its package is optional, and newer than the oldest API we work with. */
export interface LogsApi {
  getLogger(name: string, version?: string): { emit(record: object): void }
  setGlobalLoggerProvider(provider: object): object
  disable(): void
}

/** As in the error log. */
const longestBody = 16 * 1024
const severities: Readonly<Record<LogLevel, number>> = { info: 9, warn: 13, error: 17 }

/** Looks for the Logs API where later versions of the API have it, then in its own package. */
export async function findLogs(): Promise<LogsApi | undefined> {
  const found = (api as { logs?: LogsApi }).logs
  if (found) return found
  try {
    // By a variable: types of a package that need not be there cannot be asked for.
    const name = "@opentelemetry/api-logs"
    return ((await import(name)) as { logs: LogsApi }).logs
  } catch {
    // Not installed: then nobody has set up logs.
    return undefined
  }
}

/** Passes on a line of `ctx.log`, in the trace of its run. */
export function emitLine(
  logs: LogsApi,
  { attempt, level, message, meta }: Line,
  { version, redact }: { readonly version: string | undefined; readonly redact: Redact | undefined },
): void {
  const attributes: SpanAttributes = {
    "messaging.destination.name": attempt.task,
    "messaging.message.id": attempt.id,
    "messaging.taskora.attempt": attempt.attempt,
    "messaging.taskora.worker": attempt.worker,
  }
  // It may be anything of the user's: shown as progress that is an object is.
  const shown = typeof meta === "object" && meta !== null ? redact?.(meta) : undefined
  const { trace } = attempt
  const position = trace && {
    traceId: trace.traceId,
    spanId: trace.spanId,
    traceFlags: trace.sampled ? 1 : 0,
  }
  logs.getLogger(scopeName, version).emit({
    severityNumber: severities[level],
    severityText: level.toUpperCase(),
    body: message.slice(0, longestBody),
    attributes: shown === undefined ? attributes : { ...attributes, "messaging.taskora.meta": shown },
    context: position ? api.trace.setSpanContext(api.ROOT_CONTEXT, position) : api.ROOT_CONTEXT,
  })
}
