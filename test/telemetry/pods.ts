import type { ChildProcess } from "node:child_process"
import { exited, type Program } from "../support/program.ts"
import type { Line, Message, Order, PodConfig, Stored } from "./pod.ts"

/** A pod as the test sees it: a process that takes orders and keeps a record. */
export class Pod {
  readonly lines: Line[] = []
  port = 0
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, (reply: unknown) => void>()
  #orders = 0

  constructor(program: Program, config: PodConfig) {
    this.#process = program.start(config)
    this.#process.on("message", (message: Message) => {
      if ("line" in message) this.lines.push(message.line)
      else this.#waiting.get(message.n)?.(message.reply)
    })
  }

  async order(order: Order): Promise<unknown> {
    const n = ++this.#orders
    this.#process.send({ n, order })
    return new Promise((resolve) => this.#waiting.set(n, resolve))
  }

  async dispatch(order: Extract<Order, { op: "dispatch" | "dispatchMany" }>): Promise<Stored[]> {
    return (await this.order(order)) as Stored[]
  }

  async start(): Promise<void> {
    this.port = (await this.order({ op: "start" })) as number
  }

  async scrape(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text()
  }

  signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    this.#process.kill(name)
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL")
    await exited(this.#process)
  }
}
