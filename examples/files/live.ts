import type { App } from "../../src/index.ts"
import { count, seconds, styled } from "./format.ts"
import type { Tally } from "./tally.ts"

const redrawMs = 100
const plainLineMs = 2000
const notesOfAKind = 6

/** What happens, as it happens: one line that is rewritten on a terminal, a plain line now and then elsewhere; notes above it. */
export class Live {
  private readonly started = performance.now()
  private readonly notes = new Map<string, number>()
  private timer: NodeJS.Timeout | undefined
  private lastLine = ""

  constructor(
    private readonly tally: Tally,
    private readonly view: {
      readonly openJobs?: { readonly size: number }
      readonly shorten: (text: string) => string
    },
  ) {}

  get elapsedMs(): number {
    return performance.now() - this.started
  }

  /** Tells of the less common events through the app's hooks. */
  listen(taskora: App): void {
    taskora.on("task:retrying", ({ task, id, attempt, nextAttempt, error }) =>
      this.note("yellow", "retry", `${task} ${id}, attempt ${attempt} -> ${nextAttempt}: ${error}`, task),
    )
    taskora.on("task:failed", ({ task, id, error, willRetry }) => {
      if (!willRetry) this.note("red", "failed", `${task} ${id}: ${error}`, task)
    })
    taskora.on("task:cancelled", ({ task, id, reason }) =>
      this.note("cyan", "cancelled", `${task} ${id}: ${reason ?? "no reason given"}`, task),
    )
    taskora.on("task:stalled", ({ task, id, count, action }) =>
      this.note("red", "stalled", `${task} ${id} for the ${count}. time: ${action}`, task),
    )
    taskora.on("worker:error", (error) => this.note("red", "error", `${error.name}: ${error.message}`))
  }

  rejected(error: Error): void {
    this.note("red", "rejected", error.message)
  }

  start(): void {
    this.timer = setInterval(() => this.draw(), process.stdout.isTTY ? redrawMs : plainLineMs).unref()
  }

  stop(): void {
    if (!this.timer) return
    clearInterval(this.timer)
    this.timer = undefined
    this.erase()
  }

  print(text: string): void {
    this.erase()
    console.log(text)
    if (this.timer && process.stdout.isTTY) this.draw()
  }

  private note(style: Parameters<typeof styled>[0], word: string, text: string, task = ""): void {
    const kind = `${word} ${task}`
    const told = (this.notes.get(kind) ?? 0) + 1
    this.notes.set(kind, told)
    if (told > notesOfAKind + 1) return
    const rest = styled("dim", `further ones of ${task || "this kind"} are counted only`)
    this.print(`  ${styled(style, word.padEnd(9))} ${told > notesOfAKind ? rest : this.view.shorten(text)}`)
  }

  private draw(): void {
    const { completed, gone, cancelled, active, failed, retrying } = this.tally.everywhere
    const running = Math.max(0, active - completed - failed - cancelled)
    const { openJobs } = this.view
    const ended = completed + gone + cancelled
    const parts = [
      `${count(ended)}${openJobs ? ` of ${count(ended + openJobs.size)}` : ""} jobs done`,
      `${count(running)} running`,
      `${count(retrying)} retried`,
      `${count(gone)} failed`,
      `${count(Math.round((ended / this.elapsedMs) * 1000))} jobs/s`,
      seconds(this.elapsedMs),
    ]
    const line = `  ${parts.join("  |  ")}`
    if (process.stdout.isTTY)
      process.stdout.write(`\r\x1b[2K${line.slice(0, (process.stdout.columns || 80) - 1)}`)
    else if (parts[0] !== this.lastLine) console.log(line)
    this.lastLine = parts[0]!
  }

  private erase(): void {
    if (process.stdout.isTTY) process.stdout.write("\r\x1b[2K")
  }
}
