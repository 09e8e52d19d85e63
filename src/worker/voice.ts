import { PayloadTooLargeError, SerializationError } from "../model/errors.ts"
import type { Progress } from "../model/events.ts"
import { neutrally } from "../model/neutral.ts"
import type { LogLevel } from "../model/observer.ts"
import type { Core } from "../store/core.ts"
import type { TaskKeys } from "../store/keys.ts"
import { Lane } from "../store/lane.ts"
import { scripts } from "../store/scripts.ts"
import type { Voice } from "./context.ts"
import { fullLine, logLine, mostLogBytes, mostLogLines } from "./log-line.ts"
import { lostReason, type Run } from "./run.ts"

const reportsAtOnce = 10
const reportEveryMs = 100
const batchMost = 100

/** What handlers say of their jobs: progress, told in batches and not too often, and log lines. */
export class TaskVoice implements Voice {
  private readonly reportLane: Lane
  private readonly logLane: Lane
  private reporting: Run[] = []
  private reportCall: Promise<void> | undefined
  private logging = new Map<Run, string[]>()
  private logCall: Promise<void> | undefined
  private readonly keys: TaskKeys

  constructor(
    private readonly core: Core,
    task: { readonly name: string; readonly renewNow: (run: Run) => Promise<void> },
  ) {
    this.keys = core.link.keys(task.name)
    this.renewNow = task.renewNow
    this.reportLane = new Lane(core.link, "p")
    this.logLane = new Lane(core.link, "l")
  }

  private readonly renewNow: (run: Run) => Promise<void>

  progress(run: Run, value: Progress): void {
    if (run.ending) return
    run.pendingProgress = encodeProgress(run, value, this.core.payloadBytes)
    const now = this.core.link.clock.monotonic()
    const wait = run.reports < reportsAtOnce ? 0 : run.reportedAt + reportEveryMs - now
    if (wait <= 0) {
      run.reportedAt = now
      this.queueReport(run)
    } else if (!run.reportTimer) {
      run.reportTimer = true
      neutrally(() =>
        this.core.link.clock.setTimeout(() => {
          run.reportTimer = false
          if (run.ending || run.pendingProgress === undefined) return
          run.reportedAt = this.core.link.clock.monotonic()
          this.queueReport(run)
        }, wait),
      )
    }
  }

  /** A report was stored. */
  told(run: Run, value: string): void {
    if (!this.core.observers.watched) return
    this.core.observers.transition({
      kind: "progress",
      attempt: run.attempt,
      progress: JSON.parse(value) as Progress,
    })
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
    const lines = this.logging.get(run)
    if (lines) lines.push(line)
    else this.logging.set(run, [line])
    this.logCall ??= neutrally(() => this.sendLogs())
    hold(run, this.logCall)
  }

  async heartbeat(run: Run): Promise<void> {
    if (run.ending) throw lostReason(run)
    await this.renewNow(run)
  }

  private queueReport(run: Run): void {
    run.reports++
    this.reporting.push(run)
    this.reportCall ??= neutrally(() => this.sendReports())
    hold(run, this.reportCall)
  }

  private async sendReports(): Promise<void> {
    await Promise.resolve()
    while (this.reporting.length > 0) {
      const runs = [...new Set(this.reporting.splice(0, batchMost))].filter(
        (run) => run.pendingProgress !== undefined,
      )
      const values = runs.map((run) => run.pendingProgress!)
      for (const run of runs) run.pendingProgress = undefined
      if (runs.length > 0) await this.sendReportBatch(runs, values)
    }
    this.reportCall = undefined
  }

  private async sendReportBatch(runs: readonly Run[], values: readonly string[]): Promise<void> {
    const { link, events } = this.core
    const rest = runs.flatMap((run, i) => [
      run.id,
      run.lease.token,
      run.progressStored ? "0" : "1",
      values[i]!,
    ])
    try {
      const reply = await this.reportLane.call(
        scripts.progress,
        this.keys,
        { instance: link.instance, maxlen: events.maxLength },
        rest,
      )
      runs.forEach((run, i) => {
        run.progressStored = true
        if (reply.words[i] === "o") this.told(run, values[i]!)
      })
    } catch (error) {
      // The report is lost, the job is not.
      if (!link.closed) this.core.report(error, "script")
    }
  }

  private async sendLogs(): Promise<void> {
    await Promise.resolve()
    while (this.logging.size > 0) {
      const [run, lines] = this.logging.entries().next().value!
      const batch = lines.splice(0, batchMost)
      if (lines.length === 0) this.logging.delete(run)
      try {
        await this.logLane.call(
          scripts.log,
          this.keys,
          { id: run.id, token: run.lease.token, lines: mostLogLines, bytes: mostLogBytes, full: fullLine },
          batch,
        )
      } catch (error) {
        // The lines are lost, the job is not.
        if (!this.core.link.closed) this.core.report(error, "script")
      }
    }
    this.logCall = undefined
  }
}

/** Lets the run's settlement wait for a call that speaks of it. */
function hold(run: Run, call: Promise<void>): void {
  const held = Promise.all([run.busy, call]).then(() => {
    if (run.busy === held) run.busy = undefined
  })
  run.busy = held
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
