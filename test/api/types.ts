import {
  type App,
  type Context,
  createTaskora,
  type EventMeta,
  type InferInput,
  type InferOutput,
  type Taskora,
  type WorkerError,
  type WorkerErrorKind,
} from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"

// Nothing here runs: the compiler is the test.

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function is<_T extends true>(): void {}

interface Email {
  readonly to: string
}

export async function typesOfTasks(taskora: App): Promise<void> {
  const plain = taskora.task("plain", async (data: Email, ctx: Context) => ({ sent: data.to, by: ctx.id }))
  is<Equal<InferInput<typeof plain>, Email>>()
  is<Equal<InferOutput<typeof plain>, { sent: string; by: string }>>()

  const withOptions = taskora.task("options", {
    handler: (data: Email) => data.to.length,
    onCancel: (data, ctx) => ctx.log.info(data.to),
    retry: { attempts: 3, backoff: (attempt) => attempt * 2, retryOn: [TypeError] },
    timeout: "5m",
  })
  is<Equal<InferInput<typeof withOptions>, Email>>()
  is<Equal<InferOutput<typeof withOptions>, number>>()

  const remote = taskora.task<Email, number>("remote")
  const handle = remote.dispatch({ to: "ann" }, { delay: "5s", priority: 1, jobId: "a" })
  is<Equal<Awaited<typeof handle>, string>>()
  is<Equal<typeof handle.result, Promise<number>>>()
  is<Equal<InferOutput<typeof handle>, number>>()
  const waited = handle.waitFor("5s")
  is<Equal<typeof waited, Promise<number>>>()
  const answer = handle.cancel({ reason: "no" })
  is<Equal<Awaited<typeof answer>, "cancelled" | "requested" | "finished">>()
  const many = remote.dispatchMany([{ data: { to: "bob" } }, { data: { to: "eve" }, options: { delay: 1 } }])
  is<Equal<(typeof many)[number]["result"], Promise<number>>>()

  // @ts-expect-error data of another type
  remote.dispatch({ too: "ann" })
  // @ts-expect-error no data
  remote.dispatch()
  // @ts-expect-error unknown option
  remote.dispatch({ to: "ann" }, { dealy: 5 })
  // @ts-expect-error no duration
  remote.dispatch({ to: "ann" }, { delay: "5 minutes" })
  // @ts-expect-error one of the jobs has wrong data
  remote.dispatchMany([{ data: { to: "bob" } }, { data: 5 }])
  // @ts-expect-error unknown option
  taskora.task("wrong", { handler: async () => 1, concurency: 5 })
  // @ts-expect-error a number is no handler
  taskora.task("wrong", 5)
  // @ts-expect-error no such backoff
  taskora.task("wrong", { handler: async () => 1, retry: { backoff: "cubic" } })
}

export function typesOfTaskEvents(taskora: App): void {
  const task = taskora.task("typed", async (data: Email) => ({ sent: data.to }))
  task.on("completed", (payload, meta) => {
    is<Equal<typeof payload, { id: string; result: { sent: string }; duration: number; attempt: number }>>()
    is<Equal<typeof meta, EventMeta>>()
    is<Equal<typeof meta.timestamp, number>>()
    is<Equal<typeof meta.seq, number>>()
    is<Equal<typeof meta.instance, string>>()
  })
  task.on("failed", (payload) =>
    is<Equal<typeof payload, { id: string; error: string; attempt: number; willRetry: boolean }>>(),
  )
  task.on("retrying", (payload) =>
    is<Equal<typeof payload, { id: string; attempt: number; nextAttempt: number; error: string }>>(),
  )
  task.on("progress", (payload) => is<Equal<typeof payload, { id: string; progress: number | object }>>())
  task.on("active", (payload) => is<Equal<typeof payload, { id: string; attempt: number }>>())
  task.on("stalled", (payload) =>
    is<Equal<typeof payload, { id: string; count: number; action: "recovered" | "failed" }>>(),
  )
  task.on("cancelled", (payload) => is<Equal<typeof payload, { id: string; reason?: string }>>())
  const stop = task.on("completed", () => {})
  is<Equal<typeof stop, () => void>>()

  const handle = task.dispatch({ to: "ann" })
  handle.on("completed", ({ result }) => is<Equal<typeof result, { sent: string }>>())

  // @ts-expect-error unknown event
  task.on("complete", () => {})
  // @ts-expect-error an event of the app
  task.on("task:completed", () => {})
  // @ts-expect-error unknown event
  handle.on("done", () => {})
  // @ts-expect-error not in the payload
  task.on("failed", ({ reason }) => reason)
  // @ts-expect-error error is a string
  task.on("failed", ({ error }) => error.stack)
}

export function typesOfAppEvents(taskora: App): void {
  taskora.on("task:completed", ({ task, id, result, duration, attempt }, meta) => {
    is<Equal<typeof task, string>>()
    is<Equal<typeof id, string>>()
    is<Equal<typeof result, unknown>>()
    is<Equal<typeof duration, number>>()
    is<Equal<typeof attempt, number>>()
    is<Equal<typeof meta, EventMeta>>()
  })
  taskora.on("task:stalled", ({ task, action, count }) => {
    is<Equal<typeof task, string>>()
    is<Equal<typeof action, "recovered" | "failed">>()
    is<Equal<typeof count, number>>()
  })
  taskora.on("task:cancelled", ({ task, reason }) => {
    is<Equal<typeof task, string>>()
    is<Equal<typeof reason, string | undefined>>()
  })
  taskora.on("worker:error", (error) => {
    is<Equal<typeof error, WorkerError>>()
    is<Equal<typeof error.kind, WorkerErrorKind | undefined>>()
  })
  taskora.on("worker:ready", () => {})
  taskora.on("worker:closing", () => {})

  // @ts-expect-error worker:ready has no payload
  taskora.on("worker:ready", (payload: string) => payload)
  // @ts-expect-error unknown event
  taskora.on("task:complete", () => {})
  // @ts-expect-error an event of a task
  taskora.on("completed", () => {})
  // @ts-expect-error unknown event
  taskora.on("worker:started", () => {})
}

export function typesOfContext(taskora: App): void {
  taskora.task("context", {
    handler: async (_: unknown, ctx) => {
      is<Equal<typeof ctx.id, string>>()
      is<Equal<typeof ctx.attempt, number>>()
      is<Equal<typeof ctx.timestamp, number>>()
      is<Equal<typeof ctx.signal, AbortSignal>>()
      is<Equal<typeof ctx.traceparent, string | undefined>>()
      ctx.progress(50)
      ctx.progress({ done: 1, of: 2 })
      ctx.log.info("text", { more: true })
      await ctx.heartbeat()
      // @ts-expect-error progress is a number or an object
      ctx.progress("half")
      // @ts-expect-error read only
      ctx.attempt = 2
      throw ctx.retry({ delay: "1s", reason: "busy" })
    },
    middleware: [
      async (ctx, next) => {
        is<Equal<typeof ctx.task.name, string>>()
        is<Equal<typeof ctx.data, unknown>>()
        ctx.data = { replaced: true }
        await next()
        ctx.result = 5
      },
    ],
  })
  taskora.use(async (ctx: Taskora.MiddlewareContext, next) => {
    ctx.log.info(ctx.task.name)
    await next()
  })
}

export function typesOfOptions(): void {
  createTaskora({ adapter: memoryAdapter(), retention: { completed: { maxAge: "1h", maxItems: 100 } } })
  // @ts-expect-error the adapter is required
  createTaskora({})
  // @ts-expect-error unknown option
  createTaskora({ adapter: memoryAdapter(), retension: {} })
  // @ts-expect-error no unit
  createTaskora({ adapter: memoryAdapter(), defaults: { timeout: "5 min" } })
}
