import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import {
  type Adapter,
  type App,
  createTaskora,
  type DispatchOptions,
  type Observer,
  type Task,
} from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { redisAdapter } from "../../src/redis.ts"
import type { Contestant, Gate, Mode, Payload, Queue, Session, Setting, Work } from "./contestant.ts"

export const taskora: Contestant = {
  open: async (setting) => new TaskoraSession(createApp(setting, redisAdapter(setting.url))),
}

/** The embedded engine; sessions of one process share it. */
export const embedded: Contestant = {
  open: async (setting) => new TaskoraSession(createApp(setting, memory)),
}
const memory = memoryAdapter()

function createApp({ mode, keep }: Setting, adapter: Adapter): App {
  const app = createTaskora({
    adapter,
    observers: observersFor(mode),
    retention: { completed: { maxAge: "1h", maxItems: keep } },
  })
  // A listener's own error would only be reported again: this one must end the run.
  app.on("worker:error", (error) => {
    setImmediate(() => {
      throw error
    })
  })
  return app
}

function observersFor(mode: Mode): Observer[] {
  switch (mode) {
    case "off":
      return []
    case "prometheus":
      return [prometheus({ port: false })]
    case "metrics":
      return [opentelemetry({ traces: false })]
    default:
      return [opentelemetry()]
  }
}

class TaskoraSession implements Session {
  constructor(private readonly app: App) {}

  declare(name: string, work?: Work): Queue {
    const task = work
      ? this.app.task(name, { handler: (data: Payload) => work.handle(data), concurrency: work.concurrency })
      : this.app.task<Payload, unknown>(name)
    return new TaskQueue(this.app, task)
  }

  start(): Promise<void> {
    return this.app.start()
  }

  close(): Promise<void> {
    return this.app.close()
  }
}

class TaskQueue implements Queue {
  constructor(
    private readonly app: App,
    private readonly task: Task<Payload, unknown>,
  ) {}

  async add(data: Payload): Promise<unknown> {
    return this.task.dispatch(data)
  }

  addMany(data: readonly Payload[]): Promise<unknown> {
    return Promise.all(this.task.dispatchMany(data.map((one) => ({ data: one }))))
  }

  async addLater(data: Payload, delayMs: number): Promise<unknown> {
    return this.task.dispatch(data, { delay: delayMs })
  }

  async addGated(data: Payload, gate: Gate, key: string): Promise<unknown> {
    const options: DispatchOptions =
      gate === "throttle" ? { throttle: { key, max: 10_000, window: "1m" } } : { deduplicate: { key } }
    return this.task.dispatch(data, options)
  }

  async listen(completed: (id: string, at: number) => void): Promise<void> {
    this.task.on("completed", ({ id }, { timestamp }) => completed(id, timestamp))
    await this.app.listen()
  }

  async counts() {
    const { waiting, delayed, active, completed, failed } = await this.app
      .inspect()
      .stats({ task: this.task.name })
    return { waiting, delayed, active, completed, failed }
  }
}
