import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { until } from "../support/hosts.ts"
import { buildProgram, exited, type Program } from "../support/program.ts"
import type { ListenerConfig, ListenerReport } from "./listener.ts"

/** A process that listens to a task's events, and may work on it too. */
export class ListenerProcess {
  private constructor(private readonly child: ChildProcess) {}

  static build(): Promise<Program> {
    return buildProgram(join(import.meta.dirname, "listener.ts"))
  }

  /** Resolves when it is listening. */
  static async start(program: Program, config: ListenerConfig): Promise<ListenerProcess> {
    const listener = new ListenerProcess(program.start(config))
    await listener.answer()
    return listener
  }

  async report(): Promise<ListenerReport> {
    return (await this.ask("report")) as ListenerReport
  }

  /** Waits until it has heard so many events. */
  async heard(count: number, ms?: number): Promise<void> {
    let heard = 0
    await until(
      async () => {
        heard = (await this.ask("count")) as number
        return heard >= count
      },
      `the process heard ${count} events`,
      ms,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; it heard ${heard}`)
    })
  }

  stop(): void {
    this.child.kill("SIGSTOP")
  }

  goOn(): void {
    this.child.kill("SIGCONT")
  }

  async close(): Promise<void> {
    if (this.child.connected) this.child.send("close")
    await exited(this.child)
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL")
    await exited(this.child)
  }

  private ask(word: string): Promise<unknown> {
    this.child.send(word)
    return this.answer()
  }

  private async answer(): Promise<unknown> {
    const [answer] = await once(this.child, "message")
    return answer
  }
}
