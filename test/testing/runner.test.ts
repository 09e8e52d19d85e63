import { readFile } from "node:fs/promises"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { CancelledError, createTaskora, JobFailedError } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { createTestRunner, type TestRunner, type TestRunnerOptions } from "../../src/testing/index.ts"

const open: TestRunner[] = []
function runner(options?: TestRunnerOptions): TestRunner {
  const made = createTestRunner(options)
  open.push(made)
  return made
}
beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {})
})
afterEach(async () => {
  for (const made of open.splice(0)) await made.dispose()
  vi.restoreAllMocks()
})

describe("run()", () => {
  test("calls the handler directly, and gives its result", async () => {
    const test = runner()
    const add = test.app.task<{ a: number; b: number }, number>("add", ({ a, b }) => a + b)
    expect(await test.run(add, { a: 1, b: 2 })).toBe(3)
    expect(await test.run("add", { a: 3, b: 4 })).toBe(7)
    expect(test.events).toEqual([])
  })

  test("retries inline, without waiting, and rejects with what the last attempt threw", async () => {
    const test = runner()
    const attempts: number[] = []
    const flaky = test.app.task<number, string>("flaky", {
      retry: { attempts: 3, delay: "1h" },
      handler: (fails, ctx) => {
        attempts.push(ctx.attempt)
        if (ctx.attempt <= fails) throw new RangeError(`no ${ctx.attempt}`)
        return "at last"
      },
    })
    expect(await test.run(flaky, 2)).toBe("at last")
    await expect(test.run(flaky, 5)).rejects.toThrow(new RangeError("no 3"))
    expect(attempts).toEqual([1, 2, 3, 1, 2, 3])
  })

  test("goes through codec and middleware", async () => {
    const test = runner()
    const seen: unknown[] = []
    test.app.use(async (ctx, next) => {
      seen.push(ctx.data)
      await next()
      seen.push(ctx.result)
    })
    const when = test.app.task<{ at: Date }, string>("when", ({ at }) => typeof at)
    expect(await test.run(when, { at: new Date(0) })).toBe("string")
    expect(seen).toEqual([{ at: "1970-01-01T00:00:00.000Z" }, "string"])
  })

  test("of a task without handler, or of none, is refused in words", async () => {
    const test = runner()
    const bare = test.app.task("bare")
    await expect(test.run(bare, 1)).rejects.toThrow(/task "bare" has no handler/)
    await expect(test.run("other", 1)).rejects.toThrow(/task "other" is not declared/)
  })
})

describe("execute()", () => {
  test("takes a job the whole way: retries with backoff, log, progress, events, all in virtual time", async () => {
    const test = runner({ now: 1_000_000_000_000 })
    const flaky = test.app.task<number, string>("flaky", {
      retry: { attempts: 4, backoff: "fixed", delay: "2h", jitter: false },
      handler: (fails, ctx) => {
        ctx.log.info(`attempt ${ctx.attempt}`)
        ctx.progress(ctx.attempt * 10)
        if (ctx.attempt <= fails) throw new Error("no")
        return "at last"
      },
    })
    const execution = await test.execute(flaky, 2)
    expect(execution).toMatchObject({
      result: "at last",
      state: "completed",
      attempts: 3,
      progress: 30,
      error: undefined,
    })
    expect(execution.logs.map(({ message }) => message)).toEqual(["attempt 1", "attempt 2", "attempt 3"])
    expect(execution.events.map(({ name }) => name)).toEqual([
      ...["task:active", "task:progress", "task:failed", "task:retrying"],
      ...["task:active", "task:progress", "task:failed", "task:retrying"],
      ...["task:active", "task:progress", "task:completed"],
    ])
    expect(test.now - 1_000_000_000_000).toBe(4 * 3_600_000)
    expect(await execution.handle.getState()).toBe("completed")
  })

  test("of a job that fails gives the error and the state, and does not reject", async () => {
    const test = runner()
    const never = test.app.task("never", () => {
      throw new TypeError("no")
    })
    const { error, state, result, attempts } = await test.execute(never, 1)
    expect(error).toBeInstanceOf(JobFailedError)
    expect(error!.cause).toMatchObject({ name: "TypeError", message: "no" })
    expect({ state, result, attempts }).toEqual({ state: "failed", result: undefined, attempts: 1 })
  })

  test("takes dispatch options: a delay goes by, a priority counts", async () => {
    const test = runner()
    const echo = test.app.task<string, string>("echo", (data) => data)
    const before = test.now
    expect(await test.execute(echo, "x", { delay: "3d" })).toMatchObject({ result: "x" })
    expect(test.now - before).toBe(3 * 86_400_000)
  })

  test("shows a cancel", async () => {
    const test = runner()
    const slow = test.app.task("slow", () => 1)
    const handle = test.dispatch(slow, 1, { delay: "1h", jobId: "a" })
    await test.flush()
    expect(await handle.cancel({ reason: "enough" })).toBe("cancelled")
    await expect(handle.result).rejects.toThrow(CancelledError)
    await test.flush()
    expect(test.events.at(-1)).toMatchObject({
      name: "task:cancelled",
      payload: { task: "slow", id: "a", reason: "enough" },
    })
  })

  test("waits for real I/O as long as it takes, while time stands", async () => {
    const test = runner()
    const read = test.app.task<string, number>("read", async (path) => {
      await new Promise((resolve) => setTimeout(resolve, 50))
      return (await readFile(path, "utf8")).length
    })
    const before = test.now
    const { result } = await test.execute(read, "package.json")
    expect(result).toBeGreaterThan(100)
    expect(test.now).toBe(before)
  })

  test("a handler that never ends is timed out, when its patience is spent", async () => {
    const test = runner({ patience: 20 })
    const hang = test.app.task("hang", { timeout: "10m", handler: () => new Promise(() => {}) })
    const before = test.now
    const { error, state } = await test.execute(hang, 1)
    expect(error!.cause).toMatchObject({ name: "TimeoutError" })
    expect(state).toBe("failed")
    expect(test.now - before).toBeGreaterThanOrEqual(600_000)
    expect(test.now - before).toBeLessThan(660_000)
  })

  test("a job that nothing can end says so", async () => {
    const test = runner()
    const bare = test.app.task("bare")
    await expect(test.execute(bare, 1, { jobId: "a" })).rejects.toThrow(
      /job a is waiting, and nothing is due/,
    )
  })

  test("a handler may dispatch and wait for others", async () => {
    const test = runner()
    const inner = test.app.task<number, number>("inner", (n) => n * 2)
    const outer = test.app.task<number, number>("outer", async (n) => (await inner.dispatch(n).result) + 1)
    expect(await test.execute(outer, 5)).toMatchObject({ result: 11 })
  })
})

describe("advanceTime()", () => {
  test("fires what falls due meanwhile, in order, each at its time", async () => {
    const test = runner({ now: 0 })
    const ran: string[] = []
    const note = test.app.task<string>("note", {
      concurrency: 5,
      handler: (name) => {
        ran.push(`${name} ${test.now / 60_000}`)
      },
    })
    for (const [name, delay] of [
      ["c", "3m"],
      ["a", "1m"],
      ["b", "2m"],
      ["d", "1d"],
    ] as const)
      test.dispatch(note, name, { delay })
    await test.advanceTime("2m")
    expect(ran).toEqual(["a 1", "b 2"])
    await test.advanceTime("59s")
    expect(ran).toHaveLength(2)
    await test.advanceTime("1s")
    expect(ran).toEqual(["a 1", "b 2", "c 3"])
    await test.advanceTime("2d")
    expect(ran.at(-1)).toBe("d 1440")
    expect(test.now).toBe(2 * 86_400_000 + 180_000)
  })

  test("what follows from what falls due happens in between, at its own time", async () => {
    const test = runner({ now: 0 })
    const ran: number[] = []
    const chain = test.app.task<number>("chain", (n) => {
      ran.push(test.now)
      if (n > 0) chain.dispatch(n - 1, { delay: "10m" })
    })
    test.dispatch(chain, 3)
    await test.advanceTime("1h")
    expect(ran).toEqual([0, 600_000, 1_200_000, 1_800_000])
  })

  test("backoff, timeouts and recovery are those of the engine: leases are renewed while a handler runs", async () => {
    const test = runner({ patience: 10 })
    const hang = test.app.task("hang", {
      timeout: 0,
      stall: { interval: "5s" },
      handler: () => new Promise(() => {}),
    })
    const handle = test.dispatch(hang, 1)
    await test.advanceTime("5m")
    expect(await handle.getState()).toBe("active")
    expect(test.metrics.value("taskora.jobs.stalled")).toBe(0)
  })

  test("a ttl runs out at its time", async () => {
    const test = runner()
    const bare = test.app.task("bare")
    const handle = test.dispatch(bare, 1, { ttl: "10m" })
    await test.flush()
    const worker = test.app.task("worker", () => 1)
    test.dispatch(worker, 1, { delay: "1h", ttl: "2h" })
    await test.advanceTime("30m")
    // Nobody works on it here, so it is upkeep of the app's workers that must not expire what is not theirs.
    expect(await handle.getState()).toBe("waiting")
  })

  test("a schedule fires at each of its slots", async () => {
    const test = runner({ now: 0 })
    const ran: number[] = []
    const tick = test.app.task<null>("tick", () => {
      ran.push(test.now)
    })
    test.app.schedule("ticks", { task: tick, every: "10m" })
    await test.advanceTime("1h")
    expect(ran).toHaveLength(6)
    expect(new Set(ran.map((at) => at % 600_000)).size).toBe(1)
  })

  test("retention by age trims", async () => {
    const test = runner()
    const quick = test.app.task("quick", { retention: { completed: { maxAge: "1h" } }, handler: () => 1 })
    await test.execute(quick, 1)
    expect(await test.jobs({ state: "completed" })).toHaveLength(1)
    await test.advanceTime("2h")
    expect(await test.jobs()).toEqual([])
  })

  test("of no duration at all is refused in words", async () => {
    await expect(runner().advanceTime("soon" as never)).rejects.toThrow(/advanceTime/)
  })
})

describe("flush() and processAll()", () => {
  test("flush does what can be done now; processAll all that there is to do", async () => {
    const test = runner()
    const ran: string[] = []
    const note = test.app.task<string>("note", {
      retry: { attempts: 2, delay: "1h" },
      handler: (name, ctx) => {
        ran.push(`${name} ${ctx.attempt}`)
        if (name === "fails") throw new Error("no")
      },
    })
    test.dispatch(note, "now")
    test.dispatch(note, "later", { delay: "1d" })
    test.dispatch(note, "fails")
    const before = test.now
    await test.flush()
    expect(ran).toEqual(["now 1", "fails 1"])
    expect(test.now).toBe(before)
    await test.processAll()
    expect(ran).toEqual(["now 1", "fails 1", "fails 2", "later 1"])
    // A day is longer than what completed first is kept.
    expect((await test.jobs()).map(({ state }) => state).sort()).toEqual(["completed", "failed"])
  })

  test("processAll says what is left where it cannot end", async () => {
    const test = runner()
    const bare = test.app.task("bare")
    test.dispatch(bare, 1)
    await expect(test.processAll()).rejects.toThrow(/1 jobs are left/)
  })
})

describe("what is recorded", () => {
  test("jobs() filters by task and state", async () => {
    const test = runner()
    const [one, two] = ["one", "two"].map((name) => test.app.task(name, (data: unknown) => data))
    await test.execute(one!, 1)
    await test.execute(two!, 2)
    test.dispatch(two!, 3, { delay: "1h" })
    await test.flush()
    expect(await test.jobs({ task: "one" })).toMatchObject([{ data: 1, state: "completed" }])
    expect(await test.jobs({ task: "two", state: "delayed" })).toMatchObject([{ data: 3 }])
    expect(await test.jobs()).toHaveLength(3)
    await expect(test.jobs({ tsk: "one" } as never)).rejects.toThrow(/did you mean "task"/)
  })

  test("spans: one job is one trace, children of handlers lie inside, late runs begin traces of their own", async () => {
    const test = runner()
    const inner = test.app.task("inner", () => 1)
    const outer = test.app.task("outer", {
      retry: { attempts: 2, delay: "1h" },
      handler: async (_data, ctx) => {
        if (ctx.attempt === 1) throw new RangeError("no")
        await inner.dispatch(1).result
      },
    })
    await test.execute(outer, 1)
    const [send, first, second, sendInner, innerRun] = test.spans
    expect(test.spans.map(({ name }) => name)).toEqual([
      "send outer",
      "process outer",
      "process outer",
      "send inner",
      "process inner",
    ])
    expect(first).toMatchObject({
      traceId: send!.traceId,
      parentSpanId: send!.spanId,
      attempt: 1,
      outcome: "retried",
      errorType: "RangeError",
    })
    expect(second!.traceId).not.toBe(send!.traceId)
    expect(second!.links).toEqual([send!.spanId, first!.spanId])
    expect(sendInner).toMatchObject({ parentSpanId: second!.spanId, traceId: second!.traceId })
    expect(innerRun).toMatchObject({ parentSpanId: sendInner!.spanId, outcome: "completed" })
  })

  test("metrics: counters and histograms by their names and attributes", async () => {
    const test = runner()
    const flaky = test.app.task<number>("flaky", {
      retry: { attempts: 2, delay: 0 },
      handler: (n) => {
        if (n === 1) throw new RangeError("no")
      },
    })
    await test.execute(flaky, 1)
    await test.execute(flaky, 2)
    const { metrics } = test
    expect(metrics.value("taskora.jobs.dispatched", { task: "flaky" })).toBe(2)
    expect(metrics.value("taskora.attempts.failed", { "error.type": "RangeError", will_retry: "true" })).toBe(
      1,
    )
    expect(metrics.value("taskora.job.duration")).toBe(3)
    expect(metrics.value("taskora.jobs.completed", { task: "other" })).toBe(0)
    expect(() => metrics.value("taskora.jobs.compleated")).toThrow(/nothing is counted under/)
    expect(() => metrics.value("taskora.jobs.completed", { tsk: "x" })).toThrow(
      /has no attribute "tsk"; it has: task/,
    )
    expect(metrics.all().find(({ name }) => name === "taskora.jobs.failed")).toMatchObject({ value: 1 })
  })

  test("clear() forgets jobs, events, spans and counts, and keeps tasks and time", async () => {
    const test = runner()
    const echo = test.app.task<number, number>("echo", (n) => n)
    await test.execute(echo, 1)
    test.dispatch(echo, 2, { delay: "1h", jobId: "a" })
    await test.advanceTime("10m")
    const { now } = test
    await test.clear()
    expect(await test.jobs()).toEqual([])
    expect([test.events.length, test.spans.length, test.metrics.all().length]).toEqual([0, 0, 0])
    expect(test.now).toBe(now)
    await test.advanceTime("2h")
    expect(test.events).toEqual([])
    expect(await test.execute(echo, 3, { jobId: "a" })).toMatchObject({ result: 3 })
    expect(test.metrics.value("taskora.jobs.completed")).toBe(1)
  })
})

describe("from an app of production", () => {
  /** One on a server that is not there: whatever would reach for it fails. */
  function production() {
    const app = createTaskora({
      adapter: redisAdapter("redis://127.0.0.1:1"),
      defaults: { retry: { attempts: 2, delay: "5m" } },
    })
    const failed: Error[] = []
    app.on("worker:error", (error) => failed.push(error))
    const seen: unknown[] = []
    app.use(async (ctx, next) => {
      seen.push(ctx.data)
      await next()
    })
    const inner = app.task<number, number>("inner", (n) => n * 2)
    const outer = app.task<number, number>("outer", async (n, ctx) => {
      if (ctx.attempt === 1) throw new Error("not yet")
      return inner.dispatch(n).result
    })
    const count = app.task<null, number>("count", async () => (await app.inspect().stats()).completed)
    return { app, inner, outer, count, seen, failed }
  }

  test("tasks, defaults and middleware run unchanged, and nothing reaches for the app's own store", async () => {
    const { app, outer, count, seen, failed } = production()
    const test = runner({ from: app })
    const before = test.now
    expect(await test.execute(outer, 21)).toMatchObject({ result: 42, attempts: 2 })
    expect(test.now - before).toBeGreaterThan(200_000)
    expect(seen).toEqual([21, 21, 21])
    expect(await test.execute(count, null)).toMatchObject({ result: 2 })
    expect(failed).toEqual([])
  })

  test("whatever is asked of the app or its tasks is asked of the runner's engine", async () => {
    const { app, inner } = production()
    const test = runner({ from: app })
    await test.flush()
    const handle = inner.dispatch(4)
    await test.flush()
    expect(await handle.result).toBe(8)
    expect((await app.inspect().stats()).completed).toBe(1)
    expect(await app.deadLetters.list()).toEqual([])
  })

  test("dispose() restores it", async () => {
    const { app, inner } = production()
    const fields = { ...app }
    const test = createTestRunner({ from: app })
    expect(await test.execute(inner, 1)).toMatchObject({ result: 2 })
    expect({ ...app }).not.toEqual(fields)
    await test.dispose()
    await test.dispose()
    for (const [name, value] of Object.entries(fields)) expect((app as never)[name], name).toBe(value)
    await expect(test.execute(inner, 1)).rejects.toMatchObject({ code: "CLOSED" })
    // Its own store is what it reaches for again.
    const handle = inner.dispatch(1)
    handle.result.catch(() => undefined)
    await expect(
      Promise.race([handle, app.close({ timeout: 0 }).then(() => Promise.reject(new Error("closed")))]),
    ).rejects.toThrow()
  })

  test("one runner follows another", async () => {
    const { app, inner } = production()
    for (const n of [1, 2]) {
      const test = createTestRunner({ from: app })
      expect(await test.execute(inner, n)).toMatchObject({ result: n * 2 })
      expect(await test.jobs()).toHaveLength(1)
      await test.dispose()
    }
  })

  test("an app that was started is refused, and so are unknown options", async () => {
    const { app } = production()
    app.start().catch(() => undefined)
    expect(() => createTestRunner({ from: app })).toThrow(/has been started/)
    await app.close({ timeout: 0 })
    expect(() => createTestRunner({ form: app } as never)).toThrow(/did you mean "from"/)
    expect(() => createTestRunner({ patience: "soon" as never })).toThrow(/patience/)
  })
})
