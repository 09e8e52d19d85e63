import { PayloadTooLargeError, SerializationError } from "../model/errors.ts"
import type { Progress } from "../model/events.ts"
import type { LogLevel } from "../model/observer.ts"
import type { Core } from "../store/core.ts"
import type { Voice } from "./context.ts"
import { logLine, mostLogBytes, mostLogLines } from "./log-line.ts"
import { Logs } from "./logs.ts"
import { Reports } from "./reports.ts"
import { lostReason, type Run } from "./run.ts"

/** What handlers say of their jobs: progress, log lines, and that they are alive. */
export class TaskVoice implements Voice {
  private readonly reports: Reports
  private readonly logs: Logs
  private readonly renewNow: (run: Run) => Promise<void>

  constructor(
    private readonly core: Core,
    task: { readonly name: string; readonly renewNow: (run: Run) => Promise<void> },
  ) {
    const keys = core.link.keys(task.name)
    this.renewNow = task.renewNow
    this.reports = new Reports(core, keys)
    this.logs = new Logs(core, keys)
  }

  progress(run: Run, value: Progress): void {
    if (!run.ending) this.reports.add(run, encodeProgress(run, value, this.core.payloadBytes))
  }

  /** A report was stored. */
  told(run: Run, value: string): void {
    this.reports.told(run, value)
  }

  log(run: Run, level: LogLevel, message: string, meta: unknown): void {
    const { observers, link } = this.core
    if (observers.watched) {
      const extra = meta === undefined ? {} : { meta }
      observers.transition({ kind: "log", attempt: run.attempt, level, message: String(message), ...extra })
    }
    if (run.ending || run.logged.lines > mostLogLines || run.logged.bytes > mostLogBytes) return
    const line = logLine(run, { at: Math.round(link.serverNow()), level, message, meta })
    run.logged.lines++
    run.logged.bytes += Buffer.byteLength(line)
    this.logs.add(run, line)
  }

  async heartbeat(run: Run): Promise<void> {
    if (run.ending) throw lostReason(run)
    await this.renewNow(run)
  }
}

function encodeProgress(run: Run, value: unknown, mostBytes: number): string {
  const what = `progress of job ${run.id} of task "${run.attempt.task}"`
  if (typeof value !== "number" && (typeof value !== "object" || value === null))
    throw new SerializationError(`${what} must be a number or an object`)
  const text = serialized(value, what)
  const bytes = Buffer.byteLength(text)
  if (bytes <= mostBytes) return text
  throw new PayloadTooLargeError(
    `${what} takes ${bytes} bytes; at most ${mostBytes} are allowed (limits.payloadBytes)`,
    bytes,
    mostBytes,
  )
}

function serialized(value: object | number, what: string): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw new SerializationError(`${what} could not be serialized`, { cause: error })
  }
  // A toJSON of the user's can give nothing.
  if (text === undefined) throw new SerializationError(`${what} could not be serialized`)
  return text
}
