import type { LogLevel } from "../model/observer.ts"
import { cut } from "../rules/thrown.ts"
import type { Run } from "./run.ts"

/** What a job's log may hold, over all its runs. */
export const mostLogLines = 1000
export const mostLogBytes = 65_536
const mostMessageBytes = 8192

export const fullLine = JSON.stringify({
  level: "warn",
  message: `the log is full: at most ${mostLogLines} lines and ${mostLogBytes} bytes are kept for a job`,
})

interface Line {
  readonly at: number
  readonly level: LogLevel
  readonly message: unknown
  readonly meta: unknown
}

/** One line of a job's log as it is stored, JSON; it names the run's trace where there is one. */
export function logLine(run: Run, { at, level, message, meta }: Line): string {
  const { attempt, trace } = run.attempt
  const head = { at, level, message: cut(String(message), mostMessageBytes), attempt }
  const traced = trace ? { traceId: trace.traceId, spanId: trace.spanId } : {}
  try {
    return JSON.stringify({ ...head, ...traced, ...(meta === undefined ? {} : { meta }) })
  } catch {
    // What JSON cannot carry is left out; the message is worth more than its extras.
    return JSON.stringify({ ...head, ...traced, meta: "(not serializable)" })
  }
}
