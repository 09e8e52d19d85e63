import type { ChildProcess } from "node:child_process"
import { exited, type Program } from "../support/program.ts"
import type { Config, Order } from "./app.ts"

type Message =
  | { readonly port: number }
  | { readonly holds: number }
  | { readonly n: number; readonly reply: unknown }

/** A process of the workload, as the test sees it. */
export class Runner {
  /** Jobs that it took and holds. */
  held = 0
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, (reply: unknown) => void>()
  readonly #port: Promise<number>
  #orders = 0

  constructor(program: Program, config: Config) {
    this.#process = program.start(config)
    this.#port = new Promise((resolve, reject) => {
      this.#process.once("exit", () => reject(new Error("a process of the workload ended")))
      this.#process.on("message", (message: Message) => {
        if ("port" in message) resolve(message.port)
        else if ("holds" in message) this.held += 1
        else this.#waiting.get(message.n)?.(message.reply)
      })
    })
  }

  /** Of its endpoint, once it has started. */
  port(): Promise<number> {
    return this.#port
  }

  order(order: Order): Promise<unknown> {
    const n = ++this.#orders
    this.#process.send({ n, order })
    return new Promise((resolve) => this.#waiting.set(n, resolve))
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL")
    await exited(this.#process)
  }
}
