import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { App, AppOptions, Context, Task, TaskOptions } from "../../src/index.ts"
import { deferred } from "../../src/model/deferred.ts"
import { claimAndVanish } from "../support/ghost.ts"
import { hearApp, hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { appEvents, declaration, taskEvents, workerEvents } from "./page-examples.ts"

interface Email {
  readonly to?: string
  readonly fails?: number
}

/** Fails as often as its data say, then completes; reports progress once a run. */
async function send(data: Email, ctx: Context): Promise<string> {
  ctx.progress({ sent: 0, of: 1 })
  if (ctx.attempt <= (data.fails ?? 0)) throw new Error("Connection refused")
  return `sent to ${data.to}`
}

const quick: TaskOptions<Email, string> = {
  handler: send,
  retry: { attempts: 3, delay: 1, jitter: false },
  stall: { interval: 1000, maxCount: 1 },
}

onBothHosts("the events page", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })
  let printed: string[]

  beforeEach(() => {
    printed = []
    vi.spyOn(console, "log").mockImplementation((line) => printed.push(line))
    vi.spyOn(console, "error").mockImplementation(() => {})
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  /** Brings about each of the seven events, and returns the ids of the jobs. */
  async function everyEvent(taskora: App, task: Task<Email, string>, adapter: AppOptions["adapter"]) {
    await taskora.listen()
    const completes = await task.dispatch({ to: "ann" })
    expect(await claimAndVanish(adapter, task.name)).toEqual([completes])
    const cancelledHandle = task.dispatch({}, { delay: "1h" })
    const cancelled = await cancelledHandle
    const plain = task.dispatch({}, { delay: "1h" })
    await plain
    await cancelledHandle.cancel({ reason: "not needed" })
    await plain.cancel()
    const fails = await task.dispatch({ fails: 3 })
    await taskora.start()
    return { completes, cancelled, plain: plain.id, fails }
  }

  describe("Task Events", () => {
    it("Taskora provides a typed event system: all seven events of a task, each with its payload", async () => {
      const adapter = host.adapter()
      const taskora = openApp({ adapter })
      const task = taskora.task("send-email", quick)
      const heard = hearTask(task)
      const { completes, cancelled, plain, fails } = await everyEvent(taskora, task, adapter)
      await heard.until("completed")
      await until(() => heard.of("failed").length === 3, "three attempts failed")

      expect(heard.of("completed")).toEqual([
        { id: completes, result: "sent to ann", duration: expect.any(Number), attempt: 1 },
      ])
      expect(heard.of("failed")).toEqual([
        { id: fails, error: "Connection refused", attempt: 1, willRetry: true },
        { id: fails, error: "Connection refused", attempt: 2, willRetry: true },
        { id: fails, error: "Connection refused", attempt: 3, willRetry: false },
      ])
      expect(heard.of("retrying")).toEqual([
        { id: fails, attempt: 1, nextAttempt: 2, error: "Connection refused" },
        { id: fails, attempt: 2, nextAttempt: 3, error: "Connection refused" },
      ])
      expect(heard.of("progress").filter(({ id }) => id === completes)).toEqual([
        { id: completes, progress: { sent: 0, of: 1 } },
      ])
      expect(heard.of("active").filter(({ id }) => id === completes)).toEqual([
        { id: completes, attempt: 1 },
        { id: completes, attempt: 1 },
      ])
      expect(heard.of("stalled")).toEqual([{ id: completes, count: 1, action: "recovered" }])
      expect(heard.of("cancelled")).toEqual([{ id: cancelled, reason: "not needed" }, { id: plain }])
      expect(heard.names(completes)).toEqual(["active", "stalled", "active", "progress", "completed"])
      expect(heard.names(fails)).toEqual([
        ...["active", "progress", "failed", "retrying"],
        ...["active", "progress", "failed", "retrying"],
        ...["active", "progress", "failed"],
      ])
    })

    it("the page's examples of task events run as written", async () => {
      const adapter = host.adapter()
      const taskora = openApp({ adapter })
      const task = taskora.task("send-email", quick)
      const alerts: string[] = []
      taskEvents(task as Task, {
        alertOncall: (message) => alerts.push(message),
        metrics: { increment() {}, histogram() {} },
      })
      const { completes, cancelled, plain, fails } = await everyEvent(taskora, task, adapter)
      await until(() => alerts.length > 0, "the alert")
      await until(() => printed.some((line) => /^Email sent in/.test(line)), "the email was sent")

      expect(alerts).toEqual([`Email ${fails} permanently failed: Connection refused`])
      expect(printed.filter((line) => /^Email sent/.test(line))).toEqual([
        expect.stringMatching(/^Email sent in \d+ms \(attempt 1\)$/),
      ])
      for (const line of [
        `Retrying ${fails}: attempt 1 → 2`,
        `Retrying ${fails}: attempt 2 → 3`,
        `Job ${completes} progress: {"sent":0,"of":1}`,
        `Job ${completes} started processing (attempt 1)`,
        `Job ${fails} started processing (attempt 3)`,
        `Job ${completes} stalled (recovered: count 1)`,
        `Job ${cancelled} cancelled: not needed`,
        `Job ${plain} cancelled: undefined`,
      ])
        expect(printed).toContain(line)
    })

    it("the page's declaration runs as written: a handler that returns nothing completes", async () => {
      const taskora = app()
      const sendEmailTask = declaration(taskora)
      const heard = hearTask(sendEmailTask)
      await taskora.start()
      const id = await sendEmailTask.dispatch({})
      await heard.until("completed")
      expect(heard.of("completed")).toEqual([
        { id, result: undefined, duration: expect.any(Number), attempt: 1 },
      ])
    })
  })

  describe("App Events", () => {
    it("App events include the task name in the payload: all seven, of every task of the app", async () => {
      const adapter = host.adapter()
      const taskora = openApp({ adapter })
      const emails = taskora.task("send-email", quick)
      const pings = taskora.task("ping", async () => "pong")
      const heard = hearApp(taskora)
      const { completes, cancelled, plain, fails } = await everyEvent(taskora, emails, adapter)
      const ping = await pings.dispatch(undefined)
      await until(() => heard.of("failed").length === 3, "three attempts failed")
      await heard.until("completed", 2)

      const task = "send-email"
      expect(heard.of("completed")).toContainEqual({
        ...{ task, id: completes, result: "sent to ann" },
        ...{ duration: expect.any(Number), attempt: 1 },
      })
      expect(heard.of("completed")).toContainEqual({
        ...{ task: "ping", id: ping, result: "pong" },
        ...{ duration: expect.any(Number), attempt: 1 },
      })
      const error = "Connection refused"
      expect(heard.of("failed").at(-1)).toEqual({ task, id: fails, error, attempt: 3, willRetry: false })
      expect(heard.of("retrying").at(-1)).toEqual({ task, id: fails, attempt: 2, nextAttempt: 3, error })
      expect(heard.of("progress")).toContainEqual({ task, id: completes, progress: { sent: 0, of: 1 } })
      expect(heard.of("active")).toContainEqual({ task, id: completes, attempt: 1 })
      expect(heard.of("active")).toContainEqual({ task: "ping", id: ping, attempt: 1 })
      expect(heard.of("stalled")).toEqual([{ task, id: completes, count: 1, action: "recovered" }])
      expect(heard.of("cancelled")).toEqual([
        { task, id: cancelled, reason: "not needed" },
        { task, id: plain },
      ])
    })

    it("Events are emitted at both the task and app levels: the same events, once each", async () => {
      const taskora = app()
      const task = taskora.task("send-email", quick)
      const own = hearTask(task)
      const all = hearApp(taskora)
      await taskora.start()
      await task.dispatchMany(Array.from({ length: 20 }, () => ({ data: { fails: 1 } }))).at(-1)
      await all.until("completed", 20)
      expect(all.all.map(({ event, meta }) => [event, meta])).toEqual(
        own.all.map(({ event, meta }) => [event, meta]),
      )
      expect(all.all.map(({ payload }) => payload)).toEqual(
        own.all.map(({ payload }) => ({ task: "send-email", ...payload })),
      )
      expect(own.all).toHaveLength(20 * 7)
    })

    it("the page's examples of app events run as written", async () => {
      const adapter = host.adapter()
      const taskora = openApp({ adapter })
      const task = taskora.task("send-email", quick)
      const counted: string[] = []
      const timed: unknown[] = []
      appEvents(taskora, {
        alertOncall() {},
        metrics: {
          increment: (name, labels) => counted.push(`${name} ${JSON.stringify(labels)}`),
          histogram: (name, value, labels) => timed.push([name, value, labels]),
        },
      })
      await everyEvent(taskora, task, adapter)
      await until(() => counted.some((line) => line.startsWith("jobs.failed")), "the failure was counted")
      await until(() => timed.length > 0, "the duration was measured")
      const times = (line: string) => counted.filter((each) => each === line).length
      expect(times('jobs.completed {"task":"send-email"}')).toBe(1)
      expect(times('jobs.failed {"task":"send-email"}')).toBe(1)
      expect(times('jobs.active {"task":"send-email"}')).toBe(5)
      expect(times('jobs.stalled {"task":"send-email","action":"recovered"}')).toBe(1)
      expect(times('jobs.cancelled {"task":"send-email"}')).toBe(2)
      expect(timed).toEqual([["jobs.duration", expect.any(Number), { task: "send-email" }]])
    })
  })

  describe("Worker Events", () => {
    it("the page's examples of worker events run as written", async () => {
      const taskora = openApp({ adapter: host.adapter() }, true)
      workerEvents(taskora)
      const trouble = new Error("this listener throws")
      const task = taskora.task("ping", async () => "pong")
      task.on("completed", () => {
        throw trouble
      })
      expect(printed).toEqual([])
      await taskora.start()
      expect(printed).toEqual(["Workers started, processing jobs"])
      await task.dispatch(undefined)
      await until(() => vi.mocked(console.error).mock.calls.length > 0, "the error was told")
      expect(vi.mocked(console.error).mock.calls).toEqual([["Worker error:", trouble]])
      await taskora.close()
      expect(printed).toEqual(["Workers started, processing jobs", "Workers shutting down..."])
    })

    it("worker:ready and worker:closing have no payload, and come once whatever is called twice", async () => {
      const taskora = app()
      const calls: unknown[][] = []
      taskora.on("worker:ready", (...args: unknown[]) => calls.push(["ready", ...args]))
      taskora.on("worker:closing", (...args: unknown[]) => calls.push(["closing", ...args]))
      taskora.task("ping", async () => "pong")
      await Promise.all([taskora.start(), taskora.start()])
      await Promise.all([taskora.close(), taskora.close()])
      expect(calls.map(([name]) => name)).toEqual(["ready", "closing"])
      for (const [, payload] of calls) expect(payload).toBeUndefined()
    })

    it("worker:closing comes before the handlers that are under way end", async () => {
      const taskora = app()
      const order: string[] = []
      const { promise: began, resolve: begin } = deferred<void>()
      const task = taskora.task("slow", async (_, ctx) => {
        begin()
        taskora.on("worker:closing", () => setImmediate(() => order.push("handler ended")))
        await until(() => order.includes("handler ended"), "the end")
        return ctx.id
      })
      taskora.on("worker:closing", () => order.push("closing"))
      task.on("completed", () => order.push("completed"))
      await taskora.start()
      await task.dispatch(undefined)
      await began
      await taskora.close()
      expect(order).toEqual(["closing", "handler ended", "completed"])
    })
  })

  describe("Event Payload Types", () => {
    const rows = {
      completed: ["attempt", "duration", "id", "result"],
      failed: ["attempt", "error", "id", "willRetry"],
      retrying: ["attempt", "error", "id", "nextAttempt"],
      progress: ["id", "progress"],
      active: ["attempt", "id"],
      stalled: ["action", "count", "id"],
      cancelled: ["id"],
    }
    it.each(["task", "app"])(
      'exactly the keys of the table at the %s level ("task" added to each payload of the app)',
      async (level) => {
        const adapter = host.adapter()
        const taskora = openApp({ adapter })
        const task = taskora.task("send-email", quick)
        const heard = level === "task" ? hearTask(task) : hearApp(taskora)
        const { cancelled, plain } = await everyEvent(taskora, task, adapter)
        await until(() => heard.of("failed").length === 3, "three attempts failed")
        await heard.until("completed")
        const added = level === "task" ? [] : ["task"]
        for (const [event, keys] of Object.entries(rows)) {
          const payloads = heard.of(event as keyof typeof rows).filter(({ id }) => id !== cancelled)
          expect(payloads.length, event).toBeGreaterThan(0)
          for (const payload of payloads)
            expect(Object.keys(payload).sort(), event).toEqual([...keys, ...added].sort())
        }
        const [withReason, without] = [cancelled, plain].map(
          (id) => heard.of("cancelled").find((payload) => payload.id === id)!,
        )
        expect(Object.keys(withReason!).sort()).toEqual(["id", "reason", ...added])
        expect(Object.keys(without!).sort()).toEqual(["id", ...added])
      },
    )

    it('stalled { id, count, action: "recovered" | "failed" }: the failure follows its stall', async () => {
      const adapter = host.adapter()
      const taskora = openApp({ adapter })
      const task = taskora.task("send-email", { ...quick, stall: { interval: 1000, maxCount: 0 } })
      const heard = hearTask(task)
      await taskora.listen()
      const id = await task.dispatch({})
      await claimAndVanish(adapter, task.name)
      await taskora.start()
      await heard.until("failed")
      expect(heard.names(id)).toEqual(["active", "stalled", "failed"])
      expect(heard.of("stalled")).toEqual([{ id, count: 1, action: "failed" }])
      expect(heard.of("failed")).toEqual([
        { id, error: expect.stringContaining("stalled"), attempt: 1, willRetry: false },
      ])
    })

    it("listeners get { timestamp, seq, instance } beside the payload", async () => {
      const taskora = app()
      const task = taskora.task("send-email", quick)
      const heard = hearTask(task)
      await taskora.start()
      const before = Date.now()
      await task.dispatch({ fails: 1 })
      await heard.until("completed")
      const metas = heard.all.map(({ meta }) => meta)
      for (const meta of metas) {
        expect(Object.keys(meta).sort()).toEqual(["instance", "seq", "timestamp"])
        expect(meta.timestamp).toBeGreaterThan(before - 5_000)
      }
      expect(metas.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7])
      expect(new Set(metas.map(({ instance }) => instance)).size).toBe(1)
    })

    it("duration is in whole ms, of this attempt alone, middleware included", async () => {
      const taskora = app()
      const task = taskora.task<number, void>("nap", {
        handler: async (_, ctx) => {
          if (ctx.attempt === 1) {
            await pause(60)
            throw new Error("again")
          }
        },
        middleware: [
          async (_, next) => {
            await pause(20)
            await next()
          },
        ],
        retry: { attempts: 2, delay: 0 },
      })
      const heard = hearTask(task)
      await taskora.start()
      await task.dispatch(1)
      await heard.until("completed")
      const { duration } = heard.of("completed")[0]!
      expect(Number.isInteger(duration)).toBe(true)
      expect(duration).toBeGreaterThanOrEqual(19)
    })
  })
})

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
