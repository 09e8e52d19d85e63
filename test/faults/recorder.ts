import { Redis } from "ioredis"
import { type Line, linesOf } from "./stream-lines.ts"

const pageSize = 500
const everyMs = 40

/** Keeps all that the streams ever said, read from the server itself while it can be had, so that no trimming loses any. */
export class Recorder {
  /** Of each task: what the server that serves now has said since it was told last to begin anew. */
  readonly lines = new Map<string, Line[]>()
  /** What a server said that is gone: the tail that a failover lost. */
  readonly lost = new Map<string, Line[]>()
  readonly #positions = new Map<string, string>()
  readonly #client: Redis
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> = Promise.resolve()
  #trouble: unknown
  #stopped = false

  constructor(
    port: number,
    private readonly base: string,
    private readonly tasks: readonly string[],
  ) {
    this.#client = new Redis(port, "127.0.0.1", { retryStrategy: () => 50, maxRetriesPerRequest: null })
    this.#client.on("error", () => {
      // It reconnects; faults are on purpose.
    })
    for (const task of tasks) {
      this.lines.set(task, [])
      this.lost.set(task, [])
      this.#positions.set(task, "0-0")
    }
    this.#again()
  }

  /** Everything that the server has by now. @throws what could not be understood */
  async catchUp(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#readAll())
    await this.#reading
    if (this.#trouble) throw this.#trouble
  }

  of(task: string): readonly Line[] {
    return this.lines.get(task)!
  }

  get all(): Line[] {
    return [...this.lines.values()].flat()
  }

  positionOf(task: string): string {
    return this.#positions.get(task)!
  }

  /** The streams begin anew: what was said is no part of what is to be judged. */
  forget(): void {
    for (const task of this.tasks) {
      this.lost.get(task)!.push(...this.lines.get(task)!.splice(0))
      this.#positions.set(task, "0-0")
    }
  }

  /** The server's data went back in time: reads everything again, and keeps what is missing as lost. */
  async reread(): Promise<void> {
    await this.#reading.catch(() => undefined)
    const before = new Map(this.tasks.map((task) => [task, this.lines.get(task)!.splice(0)]))
    for (const task of this.tasks) this.#positions.set(task, "0-0")
    await this.catchUp()
    for (const task of this.tasks) {
      const there = new Set(this.lines.get(task)!.map(({ entry, seq }) => `${entry} ${seq}`))
      this.lost
        .get(task)!
        .push(...before.get(task)!.filter(({ entry, seq }) => !there.has(`${entry} ${seq}`)))
    }
  }

  /** Stops reading while the server is replaced. */
  async pause(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stopped = true
    await Promise.race([this.#reading.catch(() => undefined), new Promise((go) => setTimeout(go, 100))])
  }

  async resumeAt(port: number): Promise<void> {
    if (this.#client.options.port !== port) {
      this.#client.options.port = port
      this.#client.disconnect(true)
    }
    this.#stopped = false
    this.#again()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#client.disconnect()
  }

  #again(): void {
    this.#timer = setTimeout(() => {
      this.#reading = this.#reading
        .then(() => this.#readAll())
        .catch((error: unknown) => {
          // A server that is away is part of the trial; what cannot be read is not.
          if (String(error).includes("cannot be read")) this.#trouble = error
        })
        .finally(() => {
          if (!this.#stopped) this.#again()
        })
    }, everyMs)
  }

  async #readAll(): Promise<void> {
    for (const task of this.tasks) {
      for (;;) {
        const key = `${this.base}{${task}}:events`
        const from = this.#positions.get(task)!
        const page = await this.#client.xrange(key, `(${from}`, "+", "COUNT", pageSize)
        if (from !== this.#positions.get(task)) break
        for (const [entry, fields] of page) {
          this.lines.get(task)!.push(...linesOf(task, entry, fields[1]!))
          this.#positions.set(task, entry)
        }
        if (page.length < pageSize) break
      }
    }
  }
}
