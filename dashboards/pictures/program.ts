import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"

/** A process of the example. */
export class Program {
  private readonly child: ChildProcess
  private output = ""

  constructor(script: string, args: readonly string[]) {
    const env = { ...process.env }
    delete env.OTEL_EXPORTER_OTLP_ENDPOINT
    this.child = spawn(process.execPath, [script, ...args], { env })
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString()
        this.child.emit("said")
      })
    this.child.once("exit", () => this.child.emit("said"))
  }

  /** The port of /metrics, once it is served. */
  async port(): Promise<number> {
    return Number(await this.says(/metrics +http:\/\/127\.0\.0\.1:(\d+)\//))
  }

  /** Of the run's keys on Redis. */
  prefix(): Promise<string> {
    return this.says(/Redis, prefix (\S+)/)
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exit = once(this.child, "exit")
    this.child.kill(signal)
    await exit
  }

  private async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.output)?.[1]
      if (found !== undefined) return found
      if (this.child.exitCode !== null) throw new Error(`the example ended:\n${this.output}`)
      await once(this.child, "said")
    }
  }
}
