import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest"
import { type AppOptions, type Context, TimeoutError } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"

function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open: () => open(), opened }
}

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {})
})
afterEach(() => {
  vi.restoreAllMocks()
})

describe("progress, in virtual time", () => {
  const openApp = testApps()

  it("the first ten reports of a run at once, then at most one per 100 ms (last value wins), the last always before the outcome", async () => {
    const clock = manualClock()
    const taskora = openApp({ adapter: memoryAdapter({ clock }) })
    let ctx: Context | undefined
    const done = gate()
    const task = taskora.task("reporting", async (_, context) => {
      ctx = context
      await done.opened
    })
    const heard = hearTask(task)
    const values = () => heard.of("progress").map(({ progress }) => progress)
    const settle = async () => {
      for (let turn = 0; turn < 50; turn++) await clock.advance(0)
    }
    await taskora.start()
    await task.dispatch({})
    await settle()
    for (let i = 1; i <= 10; i++) {
      ctx!.progress(i)
      await settle()
    }
    expect(values()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    for (let i = 11; i <= 20; i++) ctx!.progress(i)
    await clock.advance(99)
    await settle()
    expect(values()).toHaveLength(10)
    await clock.advance(1)
    await settle()
    expect(values().slice(10)).toEqual([20])
    for (let i = 21; i <= 25; i++) {
      ctx!.progress(i)
      await clock.advance(40)
      await settle()
    }
    expect(values().length).toBeLessThanOrEqual(13)
    ctx!.progress(99)
    ctx!.progress({ last: true })
    done.open()
    await settle()
    expect(values().at(-1)).toEqual({ last: true })
    expect(values()).not.toContain(99)
    expect(heard.all.slice(-2).map(({ event }) => event)).toEqual(["progress", "completed"])
    const closed = taskora.close()
    for (let turn = 0; turn < 50; turn++) await clock.advance(100)
    await closed
  })

  it("the first ten are ten events, however fast they come; what comes faster than 100 ms after them is one", async () => {
    const clock = manualClock()
    const taskora = openApp({ adapter: memoryAdapter({ clock }) })
    const done = gate()
    const task = taskora.task("hasty", async (count: number, ctx) => {
      for (let i = 1; i <= count; i++) ctx.progress(i)
      if (count > 10) await done.opened
    })
    const heard = hearTask(task)
    const settle = async () => {
      for (let turn = 0; turn < 50; turn++) await clock.advance(0)
    }
    const told = (id: string) =>
      heard.all.flatMap(({ event, payload }) =>
        payload.id !== id ? [] : "progress" in payload ? [payload.progress] : [event],
      )
    const firstTen = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    await taskora.start()
    const short = task.dispatch(10)
    await settle()
    expect(told(short.id)).toEqual(["active", ...firstTen, "completed"])
    const long = task.dispatch(15)
    await settle()
    await clock.advance(99)
    await settle()
    expect(told(long.id)).toEqual(["active", ...firstTen])
    await clock.advance(1)
    await settle()
    expect(told(long.id)).toEqual(["active", ...firstTen, 15])
    done.open()
    const closed = taskora.close()
    for (let turn = 0; turn < 50; turn++) await clock.advance(100)
    await closed
  })
})

onBothHosts("the handler's context", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })

  it("id, attempt from 1, and when the job was created", async () => {
    const taskora = app()
    const seen: unknown[] = []
    const task = taskora.task("facts", {
      handler: async (_, ctx) => {
        seen.push([ctx.id, ctx.attempt, ctx.timestamp, ctx.signal.aborted, ctx.traceparent])
        if (ctx.attempt === 1) throw new Error("again")
      },
      retry: { attempts: 2, delay: 0 },
    })
    await taskora.start()
    const handle = task.dispatch({})
    await handle.result
    const { timestamp } = (await handle.getJob())!
    expect(seen).toEqual([
      [handle.id, 1, timestamp, false, undefined],
      [handle.id, 2, timestamp, false, undefined],
    ])
  })

  it("progress never arrives after the outcome, and reports after it are dropped", async () => {
    const taskora = app()
    let ctx: Context | undefined
    const task = taskora.task("late", async (_, context) => {
      ctx = context
      for (let i = 0; i < 500; i++) context.progress(i)
    })
    const heard = hearTask(task)
    await taskora.start()
    for (let round = 0; round < 10; round++) {
      const handle = task.dispatch({})
      await handle.result
      ctx!.progress(1000)
      ctx!.log.info("too late")
      await heard.until("completed", round + 1)
      const names = heard.names(handle.id)
      expect(names[0]).toBe("active")
      expect(names.at(-1)).toBe("completed")
      const told = heard.of("progress").filter(({ id }) => id === handle.id)
      expect(told.at(-1)!.progress).toBe(499)
      expect(told.length).toBeLessThanOrEqual(12)
      expect(await handle.getLogs()).toEqual([])
    }
  })

  it("reports that are still to go when the handler ends are told in order before the outcome", async () => {
    const taskora = app()
    const task = taskora.task("hasty", {
      concurrency: 50,
      handler: async (turns: number, ctx) => {
        for (let i = 1; i <= 12; i++) {
          ctx.progress(i)
          if (i % turns === 0) await new Promise((resolve) => setImmediate(resolve))
        }
      },
    })
    const heard = hearTask(task)
    await taskora.start()
    const handles = task.dispatchMany(Array.from({ length: 50 }, (_, i) => ({ data: 1 + (i % 13) })))
    await Promise.all(handles.map((handle) => handle.result))
    await heard.until("completed", 50)
    for (const { id } of handles) {
      const told = heard.of("progress").flatMap((payload) => (payload.id === id ? [payload.progress] : []))
      expect(told.slice(0, 10)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      expect(told.at(-1)).toBe(12)
      expect(heard.names(id).at(-1)).toBe("completed")
    }
  })

  it("progress takes numbers and objects alone; anything else throws in the handler", async () => {
    const taskora = app()
    const refused: unknown[] = []
    const self: Record<string, unknown> = {}
    self.self = self
    const task = taskora.task("odd", async (_, ctx) => {
      for (const value of ["half", undefined, null, true, 10n, self, { n: 10n }, () => 1]) {
        try {
          ctx.progress(value as never)
        } catch (error) {
          refused.push((error as { code: string }).code)
        }
      }
      return refused.length
    })
    await taskora.start()
    expect(await task.dispatch({}).result).toBe(8)
    expect(new Set(refused)).toEqual(new Set(["SERIALIZATION"]))
  })

  it("at most 1,000 log lines a job, then one line that says so", async () => {
    const taskora = app()
    const task = taskora.task("wordy", async (_, ctx) => {
      for (let i = 0; i < 1100; i++) ctx.log.info(`${i}`)
    })
    await taskora.start()
    const handle = task.dispatch({})
    await handle.result
    const logs = await handle.getLogs()
    expect(logs.length).toBeLessThanOrEqual(1001)
    expect(logs.at(-1)!.message).toContain("the log is full")
    expect(logs.slice(0, -1).map(({ message }) => message)).toEqual(
      Array.from({ length: logs.length - 1 }, (_, i) => `${i}`),
    )
  })

  it("at most 64 KiB of log a job, over all its attempts", async () => {
    const taskora = app()
    const task = taskora.task("wordy", {
      handler: async (_, ctx) => {
        for (let i = 0; i < 20; i++) ctx.log.warn("x".repeat(4000))
        if (ctx.attempt < 3) throw new Error("again")
      },
      retry: { attempts: 3, delay: 0 },
    })
    await taskora.start()
    const handle = task.dispatch({})
    await handle.result
    const logs = await handle.getLogs()
    expect(JSON.stringify(logs).length).toBeLessThan(65_536 + 8192)
    expect(logs.filter(({ message }) => message.includes("the log is full"))).toHaveLength(1)
  })

  it("log lines carry what JSON can carry, and never harm the handler", async () => {
    const taskora = app()
    const task = taskora.task("odd", async (_, ctx) => {
      ctx.log.info("with a bigint", { n: 10n })
      ctx.log.error("\ud800\n\t\0")
      ctx.log.warn(5 as never, [1])
      const { info } = ctx.log
      info("taken off")
    })
    await taskora.start()
    const handle = task.dispatch({})
    await handle.result
    expect((await handle.getLogs()).map(({ level, message, meta }) => [level, message, meta])).toEqual([
      ["info", "with a bigint", "(not serializable)"],
      ["error", "\ufffd\n\t\0", undefined],
      ["warn", "5", [1]],
      ["info", "taken off", undefined],
    ])
  })

  it("timeout: the attempt fails with TimeoutError and the signal aborts; a handler that goes on keeps its slot", async () => {
    const taskora = openApp({ adapter: host.adapter() }, true)
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    const { open, opened } = gate()
    const order: string[] = []
    const task = taskora.task<string, void>("slow", {
      handler: async (data, ctx) => {
        order.push(`${data} began`)
        if (data !== "stubborn") return
        await opened
        order.push(`${data} ended`)
        expect(ctx.signal.aborted).toBe(true)
        expect(ctx.signal.reason).toBeInstanceOf(TimeoutError)
        ctx.progress(1)
      },
      timeout: 30,
    })
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch("stubborn")
    await handle
    await heard.until("failed")
    const next = task.dispatch("next")
    await next
    await until(() => errors.length > 0, "the abandoned handler was reported")
    expect(heard.of("failed")).toEqual([
      { id: handle.id, error: expect.stringContaining("timeout of 30 ms"), attempt: 1, willRetry: false },
    ])
    await expect(handle.result).rejects.toMatchObject({ code: "JOB_FAILED", cause: { name: "TimeoutError" } })
    expect(await next.getState()).toBe("waiting")
    open()
    await next.result
    expect(order).toEqual(["stubborn began", "stubborn ended", "next began"])
    expect(errors).toHaveLength(1)
    expect(errors[0]!.message).toContain("its slot stays taken")
    expect(heard.names(handle.id)).toEqual(["active", "failed"])
  })

  it("timeout: a handler that heeds its signal gives the slot back at once", async () => {
    const taskora = app()
    const task = taskora.task("heeding", {
      handler: (_, ctx) =>
        new Promise((_resolve, reject) => {
          ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason))
        }),
      timeout: 20,
    })
    await taskora.start()
    await expect(task.dispatch({}).result).rejects.toThrow("timeout of 20 ms")
    await expect(task.dispatch({}).result).rejects.toThrow("timeout of 20 ms")
  })

  it("heartbeat renews the lease of a run", async () => {
    const taskora = app()
    const task = taskora.task("beating", {
      handler: async (_, ctx) => {
        const { heartbeat } = ctx
        await heartbeat()
        await ctx.heartbeat()
        return "alive"
      },
      stall: { interval: "1m" },
    })
    await taskora.start()
    expect(await task.dispatch({}).result).toBe("alive")
  })

  it("heartbeat after the end throws LeaseLostError", async () => {
    const taskora = app()
    let ctx: Context | undefined
    const task = taskora.task("ended", async (_, context) => {
      ctx = context
    })
    await taskora.start()
    await task.dispatch({}).result
    await expect(ctx!.heartbeat()).rejects.toMatchObject({ name: "LeaseLostError", code: "LEASE_LOST" })
  })

  it("heartbeat that nobody awaits harms nobody when the run is over", async () => {
    const taskora = app()
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on("unhandledRejection", note)
    onTestFinished(() => void process.off("unhandledRejection", note))
    let ctx: Context | undefined
    const task = taskora.task("ended", async (_, context) => {
      ctx = context
    })
    await taskora.start()
    await task.dispatch({}).result
    void ctx!.heartbeat()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(unhandled).toEqual([])
  })
})
