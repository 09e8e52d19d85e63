import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { type AppOptions, JobGoneError, type RetentionOptions, type TaskOptions } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

const keepNone: RetentionOptions = { completed: { maxItems: 0 }, failed: { maxItems: 0 } }

onBothHosts("handles", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })

  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it("result is what the handler returned; the same promise each time, also asked for late", async () => {
    const taskora = app()
    const task = taskora.task("double", async (n: number) => ({ doubled: n * 2 }))
    await taskora.start()
    const handle = task.dispatch(21)
    expect(await handle.result).toEqual({ doubled: 42 })
    expect(await handle.result).toEqual({ doubled: 42 })
    expect(await handle.getState()).toBe("completed")
    const late = task.dispatch(1)
    await until(async () => (await late.getState()) === "completed", "it completed")
    expect(await late.result).toEqual({ doubled: 2 })
    expect(await late.waitFor("5s")).toEqual({ doubled: 2 })
  })

  it("waits for jobs that another process runs", async () => {
    const adapter = host.adapter()
    const dispatcher = openApp({ adapter })
    const worker = openApp({ adapter: host.sibling(adapter) })
    worker.task("double", async (n: number) => n * 2)
    const task = dispatcher.task<number, number>("double")
    const results = Array.from({ length: 50 }, (_, n) => task.dispatch(n).result)
    await worker.start()
    expect(await Promise.all(results)).toEqual(Array.from({ length: 50 }, (_, n) => n * 2))
  })

  it("JobFailedError, whose cause carries name, message and stack", async () => {
    const taskora = app()
    const task = taskora.task("broken", async () => {
      throw new RangeError("out of range")
    })
    await taskora.start()
    const handle = task.dispatch({})
    for (const ask of [() => handle.result, () => handle.waitFor(5000)]) {
      const error = await ask().catch((reason) => reason)
      expect(error).toMatchObject({ name: "JobFailedError", code: "JOB_FAILED" })
      expect(error.message).toContain("out of range")
      expect(error.cause).toMatchObject({ name: "RangeError", message: "out of range" })
      expect(error.cause.stack).toContain("handle.test.ts")
    }
    expect(await handle.getState()).toBe("failed")
  })

  it("a job that is retried gives its last outcome", async () => {
    const taskora = app()
    const task = taskora.task("flaky", {
      handler: async (_, ctx) => {
        if (ctx.attempt < 3) throw new Error("not yet")
        return ctx.attempt
      },
      retry: { attempts: 3, delay: 0 },
    })
    await taskora.start()
    expect(await task.dispatch({}).result).toBe(3)
  })

  it("CancelledError with its reason", async () => {
    const taskora = app()
    const task = taskora.task("cancelled")
    const waiting = task.dispatch({})
    const { result } = waiting
    await waiting.cancel({ reason: "no need" })
    await expect(result).rejects.toMatchObject({
      name: "CancelledError",
      code: "CANCELLED",
      reason: "no need",
    })
    const other = task.dispatch({})
    await other.cancel()
    await expect(other.result).rejects.toMatchObject({ code: "CANCELLED", reason: undefined })
  })

  it("waitFor: TimeoutError after that, and the job goes on", async () => {
    const taskora = app()
    let goOn = () => {}
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const task = taskora.task("slow", async () => {
      await gate
      return "at last"
    })
    await taskora.start()
    const handle = task.dispatch({})
    await expect(handle.waitFor(20)).rejects.toMatchObject({ name: "TimeoutError", code: "TIMEOUT" })
    expect(() => handle.waitFor("soon" as never)).toThrow("duration")
    goOn()
    expect(await handle.waitFor("10s")).toBe("at last")
  })

  it.each([
    ["small", 10],
    ["above inlineBytes", 50_000],
  ])(
    "A waiter that asked before its job ended gets the result whatever retention says (%s)",
    async (_, bytes) => {
      const taskora = app({ retention: keepNone })
      const task = taskora.task("kept", async (n: number) => `${n} ${"x".repeat(bytes)}`)
      const broken = taskora.task("broken", async () => {
        throw new Error("as it was")
      })
      const heard = hearTask(task)
      const handles = task.dispatchMany(Array.from({ length: 20 }, (_, data) => ({ data })))
      const results = handles.map((handle) => handle.result)
      const failure = broken.dispatch({}).result
      await taskora.start()
      expect((await Promise.all(results)).map((text) => Number.parseInt(text, 10))).toEqual(
        Array.from({ length: 20 }, (_, n) => n),
      )
      await expect(failure).rejects.toThrow("as it was")
      await heard.until("completed", 20)
      for (const { result } of heard.of("completed")) expect(String(result).length).toBeGreaterThan(bytes)
      expect(await handles[0]!.getState()).toBeUndefined()
      expect(await handles[0]!.getJob()).toBeUndefined()
      expect(await taskora.inspect().stats()).toMatchObject({ completed: 0, failed: 0 })
    },
  )

  it("large results travel whole, also to listeners of other processes", async () => {
    const adapter = host.adapter()
    const worker = openApp({ adapter })
    const listener = openApp({ adapter: host.sibling(adapter) })
    const heard = hearTask(listener.task("large"))
    await listener.listen()
    const large = { text: "é".repeat(200_000) }
    const task = worker.task("large", async () => large)
    await worker.start()
    expect(await task.dispatch({}).result).toEqual(large)
    await heard.until("completed")
    expect(heard.of("completed")[0]!.result).toEqual(large)
    expect(heard.all.at(-1)!.meta).not.toHaveProperty("resultTruncated")
  })

  it("Unknown or trimmed: JobGoneError", async () => {
    const adapter = host.adapter()
    const worker = openApp({ adapter, retention: keepNone, events: { maxLength: 1 } })
    const task = worker.task("gone", async (data) => data)
    await worker.start()
    const handle = task.dispatch("first", { jobId: "first" })
    await handle
    await until(async () => (await handle.getState()) === undefined, "its record is gone")
    // Enough entries that the first job's are trimmed from the stream as well.
    await Promise.all(task.dispatchMany(Array.from({ length: 400 }, (_, i) => ({ data: i }))))
    await until(async () => (await worker.inspect().stats()).transitions.completed === 401, "all completed")
    const outcome = await handle.result.catch((error: JobGoneError) => error)
    expect(outcome).toBeInstanceOf(JobGoneError)
    expect(outcome).toHaveProperty("code", "JOB_GONE")
  })

  it("close() rejects pending waiters with code CLOSED", async () => {
    const taskora = app()
    const task = taskora.task("never")
    const handle = task.dispatch({})
    const outcomes = [handle.result, handle.waitFor("1h")].map((promise) =>
      promise.catch((error) => error.code),
    )
    await handle
    await taskora.close()
    expect(await Promise.all(outcomes)).toEqual(["CLOSED", "CLOSED"])
  })

  it("getProgress, getLogs and getJob say what is known", async () => {
    const taskora = app()
    const options: TaskOptions<unknown, string> = {
      handler: async (_, ctx) => {
        ctx.progress({ done: 1, of: 2 })
        ctx.log.info("began", { at: "once" })
        ctx.log.warn("careful")
        ctx.log.error("oh")
        return "done"
      },
    }
    const task = taskora.task("talking", options)
    await taskora.start()
    const handle = task.dispatch({ a: 1 }, { priority: 3 })
    await handle.result
    expect(await handle.getProgress()).toEqual({ done: 1, of: 2 })
    expect(
      (await handle.getLogs()).map(({ level, message, meta, attempt }) => [level, message, meta, attempt]),
    ).toEqual([
      ["info", "began", { at: "once" }, 1],
      ["warn", "careful", undefined, 1],
      ["error", "oh", undefined, 1],
    ])
    const job = await handle.getJob()
    expect(job).toMatchObject({
      ...{ id: handle.id, task: "talking", state: "completed", data: { a: 1 }, result: "done" },
      ...{ progress: { done: 1, of: 2 }, attempt: 1, maxAttempts: 1, priority: 3, stalls: 0, releases: 0 },
    })
    expect(job!.timeline.map(({ state, attempt }) => [state, attempt])).toEqual([
      ["waiting", 0],
      ["active", 1],
      ["completed", 1],
    ])
    expect(job!.timestamp).toBeLessThanOrEqual(job!.processedAt!)
    expect(job!.processedAt).toBeLessThanOrEqual(job!.finishedAt!)
    expect(job!.trace).toEqual({ attempts: [] })
  })

  it("a result that the deserializer refuses settles its waiter, and is told", async () => {
    const adapter = host.adapter()
    const serialize = (value: unknown) => JSON.stringify(value)
    const worker = openApp({ adapter })
    const reader = openApp(
      {
        adapter: host.sibling(adapter),
        serializer: {
          serialize,
          deserialize() {
            throw new Error("unreadable")
          },
        },
      },
      true,
    )
    const errors: string[] = []
    reader.on("worker:error", ({ message }) => errors.push(message))
    worker.task("odd", async () => "fine")
    const handle = reader.task("odd").dispatch({})
    reader.on("task:completed", () => {})
    const { result } = handle
    await handle
    await new Promise((resolve) => setTimeout(resolve, 50))
    await worker.start()
    await expect(result).rejects.toMatchObject({ code: "SERIALIZATION" })
    await until(() => errors.length > 0, "it was told")
  })
})
