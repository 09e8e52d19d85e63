import { Queue as BullQueue, QueueEvents, type Telemetry, Worker } from "bullmq"
import { BullMQOtel } from "bullmq-otel"
import type { Contestant, Payload, Queue, Session, Setting, Work } from "../contestants/contestant.ts"

export const bullmq: Contestant = {
  open: async (setting) => new BullSession(setting),
}

class BullSession implements Session {
  private readonly queues: BullMQ[] = []

  constructor(private readonly setting: Setting) {}

  declare(name: string, work?: Work): Queue {
    const queue = new BullMQ(name, this.setting, work)
    this.queues.push(queue)
    return queue
  }

  async start(): Promise<void> {
    await Promise.all(this.queues.map((queue) => queue.start()))
  }

  async close(): Promise<void> {
    await Promise.all(this.queues.map((queue) => queue.close()))
  }
}

class BullMQ implements Queue {
  private readonly queue: BullQueue
  private readonly worker: Worker | undefined
  private events: QueueEvents | undefined

  constructor(
    private readonly name: string,
    private readonly setting: Setting,
    work: Work | undefined,
  ) {
    const connection = connectionOf(setting)
    const telemetry: { telemetry?: Telemetry } =
      setting.mode === "off" ? {} : { telemetry: new BullMQOtel({ enableMetrics: true }) as Telemetry }
    const removeOnComplete = { count: setting.keep }
    this.queue = new BullQueue(name, { connection, defaultJobOptions: { removeOnComplete }, ...telemetry })
    if (!work) return
    this.worker = new Worker<Payload>(name, ({ data }) => work.handle(data), {
      connection,
      concurrency: work.concurrency,
      removeOnComplete,
      autorun: false,
      ...telemetry,
    })
    this.worker.on("error", (error) => {
      throw error
    })
  }

  async start(): Promise<void> {
    if (!this.worker) return
    await this.worker.waitUntilReady()
    // Resolves when the worker ends.
    void this.worker.run()
  }

  add(data: Payload): Promise<unknown> {
    return this.queue.add("job", data)
  }

  addMany(data: readonly Payload[]): Promise<unknown> {
    return this.queue.addBulk(data.map((one) => ({ name: "job", data: one })))
  }

  addLater(data: Payload, delayMs: number): Promise<unknown> {
    return this.queue.add("job", data, { delay: delayMs })
  }

  async listen(completed: (id: string, at: number) => void): Promise<void> {
    this.events = new QueueEvents(this.name, { connection: connectionOf(this.setting) })
    this.events.on("completed", ({ jobId }, entry) => completed(jobId, Number.parseInt(entry, 10)))
    await this.events.waitUntilReady()
  }

  async counts() {
    const found = await this.queue.getJobCounts("waiting", "delayed", "active", "completed", "failed")
    const { waiting = 0, delayed = 0, active = 0, completed = 0, failed = 0 } = found
    return { waiting, delayed, active, completed, failed }
  }

  async close(): Promise<void> {
    await Promise.all([this.worker?.close(), this.events?.close()])
    await this.queue.close()
  }
}

function connectionOf({ url }: Setting) {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}
