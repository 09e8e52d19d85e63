import type { ChildProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import { exited, type Program } from "../support/program.ts"
import type { Fact, Order, PodConfig } from "./truth-at-load-pod.ts"

/** A pod as the test sees it: a process that takes orders and keeps a diary. */
export class LoadPod {
  port = 0
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve(reply: unknown): void; reject(error: Error): void }>()
  readonly #diary: string
  #orders = 0

  constructor(
    readonly name: string,
    program: Program,
    config: PodConfig,
  ) {
    this.#diary = config.diary
    this.#process = program.start(config)
    this.#process.on("message", ({ n, reply }: { n: number; reply: unknown }) => {
      this.#waiting.get(n)?.resolve(reply)
      this.#waiting.delete(n)
    })
    this.#process.on("exit", (code, signal) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`pod ${name} ended (${code ?? signal}) before it answered`))
    })
  }

  order(order: Order): Promise<unknown> {
    const n = ++this.#orders
    return new Promise((resolve, reject) => {
      this.#waiting.set(n, { resolve, reject })
      this.#process.send({ n, order })
    })
  }

  async start(): Promise<void> {
    this.port = (await this.order({ op: "start" })) as number
  }

  async scrape(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/metrics`)
    if (!answer.ok) throw new Error(`the scrape of pod ${this.name} answered ${answer.status}`)
    return answer.text()
  }

  /** What it has written so far, whole lines. */
  facts(): Fact[] {
    const lines = readFileSync(this.#diary, "utf8").split("\n")
    lines.pop()
    return lines.map((line) => JSON.parse(line) as Fact)
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL")
    await exited(this.#process)
  }
}
