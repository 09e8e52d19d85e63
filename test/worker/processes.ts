import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll } from "vitest"
import { until } from "../support/hosts.ts"
import { buildProgram, exited, type Program } from "../support/program.ts"

export interface ChildSettings {
  readonly url: string
  readonly prefix: string
  readonly ledger: string
  readonly concurrency: number
  readonly leaseMs: number
  readonly maxStalls?: number
  readonly timeoutMs?: number
  readonly closeMs?: number
}

export interface ChildReport {
  readonly event: "ready" | "closed" | "lost" | "released" | "error"
  readonly text?: string
}

/** A worker in a process of its own. */
export class WorkerProcess {
  readonly reports: ChildReport[] = []

  constructor(private readonly child: ChildProcess) {
    child.on("message", (report) => this.reports.push(report as ChildReport))
  }

  get pid(): number {
    return this.child.pid!
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  async heard(event: ChildReport["event"], ms?: number): Promise<void> {
    const what = `process ${this.pid} says "${event}"`
    await until(() => this.reports.some((report) => report.event === event) || this.isEnded(what), what, ms)
  }

  get errors(): string[] {
    return this.reports.filter(({ event }) => event === "error").map(({ text }) => text ?? "")
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** kill -9; resolves with the time of it, ms since the epoch, when the process is gone. */
  async kill(): Promise<number> {
    const at = Date.now()
    this.child.kill("SIGKILL")
    await exited(this.child)
    return at
  }

  /** As SIGTERM does it; resolves with the exit code when the process has ended by itself. */
  async close(): Promise<number | null> {
    if (this.isAlive) {
      const gone = once(this.child, "exit")
      this.child.kill("SIGTERM")
      await gone
    }
    return this.child.exitCode
  }

  private isEnded(what: string): false {
    if (this.isAlive) return false
    throw new Error(`the process ended (${this.child.exitCode ?? this.child.signalCode}) before ${what}`)
  }
}

/** Starts worker processes that end with their test at the latest. Call it where the tests are declared. */
export function workerProcesses(): (settings: ChildSettings) => Promise<WorkerProcess> {
  let program: Program
  const running: WorkerProcess[] = []
  beforeAll(async () => {
    program = await buildProgram(join(import.meta.dirname, "child.ts"))
  })
  afterAll(() => program.remove())
  afterEach(async () => {
    await Promise.all(running.splice(0).map((worker) => worker.kill()))
  })
  return async (settings) => {
    const worker = new WorkerProcess(program.start(settings))
    running.push(worker)
    await worker.heard("ready")
    return worker
  }
}
