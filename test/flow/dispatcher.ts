import { createTaskora, type DispatchOptions } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"

/** What a dispatching process is told when it starts. */
export interface DispatcherSettings {
  readonly url: string
  readonly prefix: string
  readonly name: string
}

/** One round of dispatches, all under one gate. Data: `<name> <n>`. */
export interface Round {
  readonly count: number
  readonly options: DispatchOptions
  /** Between one dispatch and the next, ms; absent: all at once. */
  readonly pauseMs?: number
}

export interface Answer {
  readonly enqueued: boolean | undefined
  readonly id: string
  readonly existingId: string | undefined
}

const settings = JSON.parse(process.argv[2]!) as DispatcherSettings
const app = createTaskora({
  adapter: redisAdapter(settings.url, { prefix: settings.prefix }),
  retention: { failed: { maxItems: 10_000 } },
})
const task = app.task<string>("gated")

async function dispatch({ count, options, pauseMs }: Round): Promise<Answer[]> {
  const handles = []
  for (let n = 0; n < count; n++) {
    handles.push(task.dispatch(`${settings.name} ${n}`, options))
    if (pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  await Promise.all(handles)
  return handles.map(({ enqueued, id, existingId }) => ({ enqueued, id, existingId }))
}

process.on("message", (round: Round) => {
  void dispatch(round).then((answers) => process.send?.(answers))
})
process.once("disconnect", () => void app.close())
await task.dispatch("connected")
process.send?.("ready")
