import { type App, createTaskora, type EventMeta, type TaskEventName } from "../../src/index.ts"
import { taskEventNames } from "../../src/model/events.ts"
import { redisAdapter } from "../../src/redis.ts"

/** What the test tells a process that listens, and works where it has a concurrency. */
export interface ListenerConfig {
  readonly url: string
  readonly prefix: string
  readonly task: string
  readonly concurrency?: number
  readonly events?: readonly TaskEventName[]
}

/** An event as the process heard it: its name, job and number. */
export type HeardEvent = readonly [event: TaskEventName, id: string, seq: number]

export interface ListenerReport {
  readonly heard: readonly HeardEvent[]
  /** Ids of the jobs that this process ran. */
  readonly ran: readonly string[]
  readonly errors: readonly { readonly name: string; readonly message: string; readonly lost?: number }[]
}

const config = JSON.parse(process.argv[2]!) as ListenerConfig
const app: App = createTaskora({ adapter: redisAdapter(config.url, { prefix: config.prefix }) })
const heard: HeardEvent[] = []
const ran: string[] = []
const errors: { name: string; message: string; lost?: number }[] = []

if (config.concurrency === undefined) app.task(config.task)
else {
  app.task(config.task, {
    concurrency: config.concurrency,
    handler: async (data, ctx) => {
      ran.push(ctx.id)
      return data
    },
  })
}
app.on("worker:error", (error) => {
  const { name, message } = error
  errors.push({ name, message, ...("lost" in error ? { lost: Number(error.lost) } : {}) })
})
for (const event of config.events ?? taskEventNames) {
  app.on(`task:${event}`, ({ id }: { id: string }, { seq }: EventMeta) => heard.push([event, id, seq]))
}

process.on("message", (word: "report" | "count" | "close") => {
  if (word === "report") process.send!({ heard, ran, errors } satisfies ListenerReport)
  else if (word === "count") process.send!(heard.length)
  else void app.close().then(() => process.disconnect())
})
await (config.concurrency === undefined ? app.listen() : app.start())
process.send!("ready")
