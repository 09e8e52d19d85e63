import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import {
  CancelledError,
  type RetryOptions,
  SerializationError,
  type TaskOptions,
  TimeoutError,
  ValidationError,
} from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {})
})
afterEach(() => {
  vi.restoreAllMocks()
})

describe("backoff, in virtual time", () => {
  const openApp = testApps()

  /** Milliseconds between the attempts of a job that always fails. */
  async function delaysOf(retry: RetryOptions): Promise<number[]> {
    const clock = manualClock()
    const taskora = openApp({ adapter: memoryAdapter({ clock }) })
    const began: number[] = []
    const task = taskora.task("failing", {
      handler: async () => {
        began.push(clock.now())
        throw new Error("always")
      },
      retry: { attempts: 5, ...retry },
    })
    const heard = hearTask(task)
    await taskora.start()
    await task.dispatch({})
    for (let turn = 0; turn < 2000 && !heard.of("failed").some((failed) => !failed.willRetry); turn++)
      await clock.advance(100)
    const closed = taskora.close()
    for (let turn = 0; turn < 100; turn++) await clock.advance(100)
    await closed
    return began.slice(1).map((at, i) => at - began[i]!)
  }

  it.each<[string, RetryOptions, number[]]>([
    ["exponential: delay * 2^(attempt-1)", { backoff: "exponential" }, [1000, 2000, 4000, 8000]],
    ["linear: delay * attempt", { backoff: "linear", delay: "500ms" }, [500, 1000, 1500, 2000]],
    ["fixed", { backoff: "fixed", delay: 700 }, [700, 700, 700, 700]],
    ["maxDelay bounds it", { delay: "1s", maxDelay: "3s" }, [1000, 2000, 3000, 3000]],
    ["a function of the attempt", { backoff: (attempt) => attempt * 111 }, [111, 222, 333, 444]],
    ["exponential is the default, from one second", {}, [1000, 2000, 4000, 8000]],
  ])("%s", async (_, retry, expected) => {
    const delays = await delaysOf({ jitter: false, ...retry })
    expect(delays).toHaveLength(4)
    for (const [i, delay] of delays.entries()) {
      // The clock is turned by 100 ms at a time, and a claim takes a turn or two.
      expect(delay).toBeGreaterThanOrEqual(expected[i]!)
      expect(delay).toBeLessThan(expected[i]! + 250)
    }
  })

  it("jitter spreads each delay by up to 25 % either way, by default", async () => {
    const delays = await delaysOf({ backoff: "fixed", delay: 10_000, attempts: 12 })
    expect(delays).toHaveLength(11)
    for (const delay of delays) {
      expect(delay).toBeGreaterThanOrEqual(7500)
      expect(delay).toBeLessThan(12_750)
    }
    expect(new Set(delays).size).toBeGreaterThan(3)
  })
})

onBothHosts("retry", (host) => {
  const openApp = testApps()

  /** Runs one job of a task with these options to its end, and returns its failed attempts. */
  async function run(options: TaskOptions) {
    const taskora = openApp({ adapter: host.adapter() })
    const task = taskora.task("retried", options)
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    const id = await handle
    await until(
      () => heard.names(id).includes("completed") || heard.of("failed").some(({ willRetry }) => !willRetry),
      "it ended",
    )
    return { handle, heard, failed: heard.of("failed").map(({ attempt, error }) => `${attempt} ${error}`) }
  }
  const failing = (make: () => unknown, retry: RetryOptions): TaskOptions => ({
    handler: async () => {
      throw make()
    },
    retry: { attempts: 2, delay: 0, ...retry },
  })

  it("attempts is the total number of runs; without retry there is one", async () => {
    expect((await run(failing(() => new Error("e"), { attempts: 3 }))).failed).toEqual(["1 e", "2 e", "3 e"])
    expect((await run(failing(() => new Error("e"), { attempts: 1 }))).failed).toEqual(["1 e"])
    const { handler } = failing(() => new Error("e"), {})
    expect((await run({ handler: handler! })).failed).toEqual(["1 e"])
  })

  it.each([
    ["ValidationError", () => new ValidationError("no"), ValidationError],
    ["TimeoutError", () => new TimeoutError("no"), TimeoutError],
    ["CancelledError", () => new CancelledError("no"), CancelledError],
    ["SerializationError", () => new SerializationError("no"), SerializationError],
  ])("%s is not retried unless retryOn names it", async (_, make, type) => {
    expect((await run(failing(make, {}))).failed).toEqual(["1 no"])
    expect((await run(failing(make, { retryOn: [type as never] }))).failed).toEqual(["1 no", "2 no"])
  })

  it("retryOn retries only these, noRetryOn all but these", async () => {
    const range = () => new RangeError("no")
    expect((await run(failing(range, { retryOn: [TypeError] }))).failed).toEqual(["1 no"])
    expect((await run(failing(range, { retryOn: [RangeError] }))).failed).toEqual(["1 no", "2 no"])
    expect((await run(failing(range, { noRetryOn: [RangeError] }))).failed).toEqual(["1 no"])
    expect((await run(failing(range, { noRetryOn: [TypeError] }))).failed).toEqual(["1 no", "2 no"])
    expect((await run(failing(range, { noRetryOn: [Error] }))).failed).toEqual(["1 no"])
  })

  it("throw ctx.retry() always retries while attempts remain, and emits failed and retrying with the reason", async () => {
    const { failed, heard } = await run({
      handler: async (_, ctx) => {
        throw ctx.retry({ delay: 0, reason: "busy" })
      },
      retry: { attempts: 3, retryOn: [], noRetryOn: [Error], delay: "1h" },
    })
    expect(failed).toEqual(["1 busy", "2 busy", "3 busy"])
    expect(heard.of("retrying").map(({ error, nextAttempt }) => `${nextAttempt} ${error}`)).toEqual([
      "2 busy",
      "3 busy",
    ])
    const once = await run({
      handler: async (_, ctx) => {
        throw ctx.retry()
      },
    })
    expect(once.failed).toHaveLength(1)
  })

  it.each([
    ["NaN", () => Number.NaN],
    ["a negative number", () => -1],
    ["Infinity", () => Number.POSITIVE_INFINITY],
    ["text", () => "soon" as never],
    [
      "an error",
      () => {
        throw new Error("backoff broke")
      },
    ],
  ])("a backoff function that gives %s fails the job with a clear error", async (_, backoff) => {
    const { failed } = await run(failing(() => new Error("the card was refused"), { attempts: 5, backoff }))
    expect(failed).toEqual([
      expect.stringMatching(/^1 backoff.*; the attempt had failed with: the card was refused$/),
    ])
  })

  it("a delay of 0 goes straight to waiting; a longer one is delayed, and its state is retrying", async () => {
    const taskora = openApp({ adapter: host.adapter() })
    const task = taskora.task(
      "retrying",
      failing(() => new Error("e"), { delay: "1h" }),
    )
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    await heard.until("retrying")
    expect(await handle.getState()).toBe("retrying")
    const job = await handle.getJob()
    expect(job).toMatchObject({ state: "retrying", attempt: 1, maxAttempts: 2 })
    expect(job!.timeline.map(({ state }) => state)).toEqual(["waiting", "active", "retrying"])
    expect(await taskora.inspect().stats()).toMatchObject({ delayed: 1, waiting: 0, active: 0 })
    expect((await taskora.inspect().delayed()).map(({ id, state }) => [id, state])).toEqual([
      [handle.id, "retrying"],
    ])
    expect(await handle.cancel()).toBe("cancelled")
  })

  it("the worker's options rule, not the dispatcher's", async () => {
    const adapter = host.adapter()
    const worker = openApp({ adapter })
    const dispatcher = openApp({ adapter: host.sibling(adapter) })
    const heard = hearTask(
      worker.task(
        "ruled",
        failing(() => new Error("e"), { attempts: 2 }),
      ),
    )
    await worker.start()
    await dispatcher.task("ruled", { retry: { attempts: 9, delay: 0 } }).dispatch({})
    await heard.until("failed", 2)
    expect(heard.of("failed").map(({ willRetry }) => willRetry)).toEqual([true, false])
  })
})
