import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { type AppOptions, CancelledError } from "../../src/index.ts"
import { claimAndVanish } from "../support/ghost.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("cancel", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>, expectErrors = false) =>
    openApp({ adapter: host.adapter(), ...options }, expectErrors)

  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it.each([
    ["waiting", {}],
    ["waiting", { priority: 7 }],
    ["delayed", { delay: "1h" as const }],
  ])("a %s job (%j) is cancelled at once, never runs, and is told once", async (state, options) => {
    const taskora = app()
    const ran: unknown[] = []
    const task = taskora.task("plain", async (data) => ran.push(data))
    const heard = hearTask(task)
    await taskora.listen()
    const handle = task.dispatch("cancelled", options)
    await handle
    expect(await handle.getState()).toBe(state)
    expect(await handle.cancel({ reason: "no need" })).toBe("cancelled")
    expect(await handle.cancel({ reason: "twice" })).toBe("cancelled")
    expect(await handle.getState()).toBe("cancelled")
    expect(await handle.getJob()).toMatchObject({ state: "cancelled", reason: "no need", attempt: 0 })
    await taskora.start()
    await task.dispatch("other").result
    await heard.until("completed")
    expect(ran).toEqual(["other"])
    expect(heard.of("cancelled")).toEqual([{ id: handle.id, reason: "no need" }])
    expect(await taskora.inspect().stats()).toMatchObject({
      waiting: 0,
      delayed: 0,
      cancelled: 1,
      completed: 1,
    })
  })

  it("a retrying job is cancelled at once", async () => {
    const taskora = app()
    const task = taskora.task("retrying", {
      handler: async () => {
        throw new Error("again")
      },
      retry: { attempts: 2, delay: "1h" },
    })
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    await heard.until("retrying")
    expect(await handle.cancel()).toBe("cancelled")
    await heard.until("cancelled")
    expect(heard.names(handle.id)).toEqual(["active", "failed", "retrying", "cancelled"])
  })

  it("an active job: the signal aborts with CancelledError, onCancel runs after the abort, then it is told; instant", async () => {
    const taskora = app()
    const order: string[] = []
    const task = taskora.task<string, void>("active", {
      handler: (_, ctx) =>
        new Promise((_resolve, reject) => {
          ctx.signal.addEventListener("abort", () => {
            order.push("abort")
            expect(ctx.signal.reason).toBeInstanceOf(CancelledError)
            expect(ctx.signal.reason.reason).toBe("stop it")
            reject(ctx.signal.reason)
          })
        }),
      onCancel: async (data, ctx) => {
        order.push(`onCancel ${data} ${ctx.attempt} ${ctx.signal.aborted}`)
        await new Promise((resolve) => setImmediate(resolve))
        order.push("cleaned up")
      },
      // A renewal would bring the request too, much later.
      stall: { interval: "5m" },
      timeout: 0,
    })
    task.on("cancelled", () => order.push("cancelled"))
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch("job")
    await heard.until("active")
    expect(await handle.cancel({ reason: "stop it" })).toBe("requested")
    await heard.until("cancelled")
    expect(order).toEqual(["abort", "onCancel job 1 true", "cleaned up", "cancelled"])
    expect(heard.of("cancelled")).toEqual([{ id: handle.id, reason: "stop it" }])
    expect(heard.names(handle.id)).toEqual(["active", "cancelled"])
    await expect(handle.result).rejects.toMatchObject({ code: "CANCELLED", reason: "stop it" })
    expect(await handle.cancel()).toBe("cancelled")
  })

  it("from another process, as instantly", async () => {
    const adapter = host.adapter()
    const worker = openApp({ adapter })
    const other = openApp({ adapter: host.sibling(adapter) })
    worker.task("active", {
      handler: (_, ctx) =>
        new Promise((_resolve, reject) =>
          ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)),
        ),
      stall: { interval: "5m" },
      timeout: 0,
    })
    await worker.start()
    const task = other.task("active")
    const heard = hearTask(task)
    await other.listen()
    const handle = task.dispatch({})
    await heard.until("active")
    expect(await handle.cancel()).toBe("requested")
    await heard.until("cancelled")
    expect(heard.of("cancelled")).toEqual([{ id: handle.id }])
  })

  it("a handler that ignores the abort is not waited for, and keeps its slot; what it returns is dropped", async () => {
    const taskora = app({}, true)
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    let goOn = () => {}
    const opened = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const task = taskora.task<string, string>("ignoring", async (data) => {
      if (data === "deaf") await opened
      return data
    })
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch("deaf")
    await heard.until("active")
    expect(await handle.cancel()).toBe("requested")
    await heard.until("cancelled")
    const next = task.dispatch("next")
    await next
    await until(() => errors.length > 0, "the abandoned handler was reported")
    expect(await next.getState()).toBe("waiting")
    goOn()
    expect(await next.result).toBe("next")
    expect(heard.names(handle.id)).toEqual(["active", "cancelled"])
    expect(errors).toHaveLength(1)
  })

  it("a settlement that arrives after the request becomes cancelled", async () => {
    const adapter = host.adapter()
    const taskora = openApp({ adapter })
    let cancelNow: () => Promise<unknown> = async () => {}
    let answer: unknown
    const task = taskora.task<unknown, string>("racing", async () => {
      answer = await cancelNow()
      return "done"
    })
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    cancelNow = () => handle.cancel({ reason: "late" })
    const outcome = await handle.result.catch((error) => error.code)
    expect(answer).toBe("requested")
    expect(outcome).toBe("CANCELLED")
    await heard.until("cancelled")
    expect(heard.names(handle.id)).toEqual(["active", "cancelled"])
  })

  it("a lease that was lost with a request is cancelled, not stalled", async () => {
    const adapter = host.adapter()
    const taskora = openApp({ adapter })
    const task = taskora.task("vanishing", { handler: async () => 1, stall: { interval: 1000 } })
    const heard = hearTask(task)
    await taskora.listen()
    const handle = task.dispatch({})
    await handle
    await claimAndVanish(adapter, "vanishing", 1)
    expect(await handle.cancel({ reason: "never mind" })).toBe("requested")
    await taskora.start()
    await heard.until("cancelled")
    expect(heard.names(handle.id)).toEqual(["active", "cancelled"])
    expect(heard.of("cancelled")).toEqual([{ id: handle.id, reason: "never mind" }])
  })

  it.each([
    ["completed", async () => 1],
    [
      "failed",
      async () => {
        throw new Error("e")
      },
    ],
  ])("a %s job answers finished, and nothing is told", async (state, handler) => {
    const taskora = app()
    const task = taskora.task("ended", handler)
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    await handle.result.catch(() => {})
    expect(await handle.cancel()).toBe("finished")
    expect(await handle.getState()).toBe(state)
    await task.dispatch({}).result.catch(() => {})
    expect(heard.of("cancelled")).toEqual([])
  })

  it("onCancel's error goes to worker:error, and the job is cancelled all the same", async () => {
    const taskora = app({}, true)
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    const task = taskora.task("untidy", {
      handler: (_, ctx) =>
        new Promise((_resolve, reject) =>
          ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)),
        ),
      onCancel: () => {
        throw new Error("could not clean up")
      },
    })
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    await heard.until("active")
    await handle.cancel()
    await heard.until("cancelled")
    expect(errors.map(({ message }) => message)).toEqual(["could not clean up"])
  })

  it("cancels in every state race with the worker: each job ends once, as its answer says", async () => {
    // A handler that is a turn late in heeding its signal is reported on worker:error.
    const taskora = app({}, true)
    const task = taskora.task("raced", {
      concurrency: 5,
      handler: async (_, ctx) => {
        for (let turn = 0; turn < 3; turn++) {
          await new Promise((resolve) => setImmediate(resolve))
          ctx.signal.throwIfAborted()
        }
      },
    })
    const heard = hearTask(task)
    await taskora.start()
    const handles = task.dispatchMany(Array.from({ length: 200 }, (_, i) => ({ data: i })))
    const answers = await Promise.all(handles.map((handle) => handle.cancel()))
    await until(() => heard.of("completed").length + heard.of("cancelled").length >= 200, "all ended")
    for (const [i, { id }] of handles.entries()) {
      const ends = heard.names(id).filter((name) => name !== "active")
      expect(ends).toEqual([answers[i] === "finished" ? "completed" : "cancelled"])
    }
  })

  it("bad options are refused", async () => {
    const task = app().task("options")
    const handle = task.dispatch({})
    await handle
    await expect(handle.cancel({ reason: 5 as never })).rejects.toMatchObject({ code: "INVALID" })
    await expect(handle.cancel({ raeson: "x" } as never)).rejects.toThrow('did you mean "reason"?')
    expect(await handle.getState()).toBe("waiting")
  })
})
