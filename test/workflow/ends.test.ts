import { afterEach, beforeEach, expect, it, vi } from "vitest"
import {
  type AppOptions,
  CancelledError,
  chain,
  chord,
  createTaskora,
  ExpiredError,
  group,
  type Transition,
  WorkflowFailedError,
} from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { untilAborted } from "../support/aborted.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"

onBothHosts("how workflows end", (host) => {
  const open = testApps()
  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  function setUp(options?: Partial<AppOptions>) {
    const app = open({ adapter: host.adapter(), ...options })
    const ran: string[] = []
    const quick = app.task("quick", async (n: number) => {
      ran.push(`quick ${n}`)
      return n
    })
    const flaky = app.task("flaky", {
      retry: { attempts: 3, delay: 1 },
      handler: async (n: number, ctx) => {
        ran.push(`flaky ${ctx.attempt}`)
        if (ctx.attempt < 3) throw new Error("not yet")
        return n
      },
    })
    const stuck = app.task("stuck", {
      concurrency: 5,
      handler: async (n: number, ctx) => {
        ran.push(`stuck ${n}`)
        await untilAborted(ctx.signal)
        return n
      },
    })
    const broken = app.task("broken", async (_n: number): Promise<number> => {
      throw new TypeError("no way")
    })
    const all = app.task("all", async (numbers: readonly number[]) => {
      ran.push(`all ${numbers}`)
      return numbers.length
    })
    return { app, ran, quick, flaky, stuck, broken, all }
  }

  it("an attempt that is retried holds its workflow up, and fails it not", async () => {
    const { app, flaky, quick, ran } = setUp()
    await app.start()
    expect(await chain(flaky.s(7), quick.s()).dispatch().waitFor("10s")).toBe(7)
    expect(ran).toEqual(["flaky 1", "flaky 2", "flaky 3", "quick 7"])
  })

  it("a permanent failure cancels what runs and what waits; the result says which job it was, and why", async () => {
    const { app, stuck, broken, all, ran } = setUp()
    await app.start()
    const later = stuck.s(2, { delay: "1h" })
    const handle = chord([stuck.s(1), later, chain(broken.s(1), stuck.s())], all.s()).dispatch()
    const error = (await handle.waitFor("20s").catch((thrown: unknown) => thrown)) as WorkflowFailedError
    expect(error).toBeInstanceOf(WorkflowFailedError)
    expect(error.message).toContain(`workflow ${handle.id} failed, since job ${error.node} did: no way`)
    expect(error.cause).toMatchObject({ name: "TypeError", message: "no way" })
    const graph = (await handle.getGraph())!
    expect(graph.state).toBe("failed")
    expect(graph.nodes.map(({ task, state }) => `${task} ${state}`).sort()).toEqual([
      "all skipped",
      "broken failed",
      "stuck cancelled",
      "stuck cancelled",
      "stuck skipped",
    ])
    expect(ran.filter((line) => line.startsWith("all"))).toEqual([])
    expect(await app.inspect().stats()).toMatchObject({ waiting: 0, active: 0, delayed: 0 })
  })

  it("cancelling cascades to what runs, what is delayed and what would follow; cancelling twice is no error", async () => {
    const { app, stuck, quick, all, ran } = setUp()
    await app.start()
    const handle = chord([stuck.s(1), quick.s(2, { delay: "1h" })], all.s()).dispatch()
    await until(() => ran.includes("stuck 1"), "it runs")
    expect(["requested", "cancelled"]).toContain(await handle.cancel({ reason: "enough" }))
    await expect(handle.waitFor("20s")).rejects.toMatchObject({ code: "CANCELLED", reason: "enough" })
    expect(await handle.result.catch((error: unknown) => error)).toBeInstanceOf(CancelledError)
    expect(await handle.cancel()).toBe("cancelled")
    const states = (await handle.getGraph())!.nodes.map(({ state }) => state)
    expect(states).toEqual(["cancelled", "cancelled", "skipped"])
    expect(ran).toEqual(["stuck 1"])
  })

  it("cancelling one of its jobs cancels the workflow", async () => {
    const { app, stuck, quick, ran } = setUp()
    await app.start()
    const handle = chain(stuck.s(1), quick.s()).dispatch()
    await until(() => ran.includes("stuck 1"), "it runs")
    const { id } = (await handle.getGraph())!.nodes[0]!
    expect(await app.inspect().find(id)).toMatchObject({ task: "stuck", state: "active" })
    const cancelled = new Promise((resolve) => app.on("workflow:cancelled", resolve))
    // A job that has this id already: its handle is the handle of the node's.
    const job = stuck.dispatch(1, { jobId: id })
    await job
    expect(job.enqueued).toBe(false)
    expect(await job.cancel({ reason: "by hand" })).toBe("requested")
    expect(await cancelled).toMatchObject({ id: handle.id, reason: "by hand" })
    expect(await handle.getState()).toBe("cancelled")
  })

  it("a finished one cannot be cancelled", async () => {
    const { app, quick } = setUp()
    await app.start()
    const handle = group(quick.s(1)).dispatch()
    await handle.waitFor("10s")
    expect(await handle.cancel()).toBe("finished")
    expect(await handle.getState()).toBe("completed")
  })

  it("ttl bounds the whole: what has not ended by then fails with an ExpiredError", async () => {
    const { app, quick, stuck } = setUp()
    await app.start()
    const handle = chain(stuck.s(1), quick.s()).dispatch({ ttl: 300 })
    const error = await handle.waitFor("20s").catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ExpiredError)
    expect((await handle.getGraph())!.nodes.map(({ state }) => state)).toEqual(["cancelled", "skipped"])
    expect(await chain(quick.s(1)).dispatch({ ttl: "1m" }).waitFor("10s")).toBe(1)
  }, 30_000)

  it("the terms of its task hold for a node: its ttl, its concurrency key; one that expires fails the workflow", async () => {
    const { app, quick } = setUp()
    const keyed = app.task("keyed", {
      concurrency: 5,
      concurrencyKey: "one",
      concurrencyLimit: 1,
      handler: async (n: number, ctx) => {
        active++
        most = Math.max(most, active)
        await new Promise((resolve) => setTimeout(resolve, 5))
        active--
        return ctx.attempt * n
      },
    })
    let active = 0
    let most = 0
    const paused = app.task("paused", { ttl: { max: 100 }, handler: async (n: number) => n })
    const byData = app.task("by-data", {
      concurrencyKey: (n: number) => `${n}`,
      handler: async (n: number) => n,
    })
    await app.start()
    expect(await keyed.map([1, 2, 3, 4]).dispatch().waitFor("20s")).toEqual([1, 2, 3, 4])
    expect(most).toBe(1)
    expect(await byData.map([5]).dispatch().waitFor("10s")).toEqual([5])
    await expect(chain(quick.s(1), byData.s()).dispatch()).rejects.toThrow(/s\(data\)/)
    await paused.pause()
    const handle = chain(paused.s(1), quick.s()).dispatch()
    const error = await handle.waitFor("20s").catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: "WORKFLOW_FAILED", cause: { name: "ExpiredError" } })
    expect((await handle.getGraph())!.nodes.map(({ state }) => state)).toEqual(["expired", "skipped"])
  })

  it("a handler that gives what cannot be carried to the next fails the workflow", async () => {
    const app = open({ adapter: host.adapter(), limits: { payloadBytes: 2000 } })
    const long = app.task("long", async () => "x".repeat(1500))
    const both = app.task("both", async (texts: readonly string[]) => texts.length)
    await app.start()
    const handle = chord([long.s(undefined), long.s(undefined)], both.s()).dispatch()
    const error = await handle.waitFor("20s").catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: "WORKFLOW_FAILED", cause: { name: "PayloadTooLargeError" } })
    expect(String(error)).toContain("limits.payloadBytes")
  })

  it("each end is counted once, by one process, and observed with its duration", async () => {
    const seen: Transition[] = []
    const adapter = host.adapter()
    const observer = { name: "watch", transition: (transition: Transition) => void seen.push(transition) }
    const { app, quick, broken } = setUp({ adapter, observers: [observer] })
    const other = open({ adapter: host.sibling(adapter), observers: [observer] })
    other.task("quick", async (n: number) => n)
    const heard: unknown[] = []
    other.on("workflow:completed", ({ id }) => heard.push(id))
    await app.start()
    await other.start()
    const handles = Array.from({ length: 20 }, (_, i) => chain(quick.s(i), quick.s()).dispatch())
    await Promise.all(handles.map((handle) => handle.waitFor("20s")))
    await broken
      .s(1)
      .dispatch()
      .waitFor("10s")
      .catch(() => undefined)
    const of = (kind: string) => seen.filter((transition) => transition.kind === kind)
    await until(() => of("workflow ended").length === 21, "all ends are told")
    expect(of("workflow started")).toHaveLength(21)
    const ends = of("workflow ended") as { id: string; outcome: string; durationMs: number }[]
    expect(ends.filter(({ outcome }) => outcome === "completed")).toHaveLength(20)
    expect(ends.filter(({ outcome }) => outcome === "failed")).toHaveLength(1)
    expect(new Set(ends.map(({ id }) => id)).size).toBe(21)
    for (const { durationMs } of ends) expect(durationMs).toBeGreaterThanOrEqual(0)
    await until(() => heard.length === 20, "the other process heard of each once")
    expect(new Set(heard).size).toBe(20)
  }, 40_000)

  it("who asks late still gets the result", async () => {
    const adapter = host.adapter()
    const { app, quick } = setUp({ adapter })
    await app.start()
    const handle = chain(quick.s(4), quick.s()).dispatch()
    await until(async () => (await handle.getState()) === "completed", "it has ended")
    expect(await handle.result).toBe(4)
    expect(await handle.waitFor("5s")).toBe(4)
  })

  it.each([
    ["an unknown option", (s: ReturnType<typeof setUp>) => s.quick.s(1).dispatch({ tll: 1 } as never), /tll/],
    ["a name that is none", (s: ReturnType<typeof setUp>) => s.quick.s(1).dispatch({ name: "a\nb" }), /name/],
    [
      "a ttl that is none",
      (s: ReturnType<typeof setUp>) => s.quick.s(1).dispatch({ ttl: "soon" as never }),
      /soon/,
    ],
    [
      "no data at all",
      (s: ReturnType<typeof setUp>) => (s.quick.s() as never as { dispatch(): void }).dispatch(),
      /s\(data\)/,
    ],
    ["a chain of nothing", () => (chain as () => unknown)(), /at least one/],
    ["what is no composition", () => chain("a" as never), /compositions/],
    ["a chunk of size 0", (s: ReturnType<typeof setUp>) => s.all.chunk([1], { size: 0 }), /size/],
    ["items that are no list", (s: ReturnType<typeof setUp>) => s.quick.map("abc" as never), /list/],
  ])("%s is refused at the call, in words", (_what, call, words) => {
    const tasks = setUp()
    expect(() => call(tasks)).toThrow(words)
  })

  it("tasks of two apps make no workflow", () => {
    const one = setUp()
    const two = setUp()
    expect(() => chain(one.quick.s(1), two.quick.s())).toThrow(/one app/)
  })

  it("a dispatch whose data cannot be carried is refused, and nothing is stored", async () => {
    const { app, quick } = setUp()
    await app.start()
    const handle = quick.s(1n as never).dispatch()
    await expect(handle).rejects.toMatchObject({ code: "SERIALIZATION" })
    await expect(handle.result).rejects.toMatchObject({ code: "SERIALIZATION" })
    expect(await app.inspect().stats()).toMatchObject({ waiting: 0, transitions: { dispatched: 0 } })
  })
})

it("a workflow of hours costs virtual time alone, and what is left of it goes an hour after its end", async () => {
  const clock = manualClock()
  const adapter = memoryAdapter({ clock })
  const app = createTaskora({ adapter })
  const step = app.task("step", async (n: number) => n + 1)
  await app.start()
  const handle = chain(step.s(0, { delay: "1h" }), step.s()).dispatch()
  await handle
  await clock.advance(3_600_000)
  for (let i = 0; i < 500 && (await handle.getState()) !== "completed"; i++) await clock.advance(20)
  expect(await handle.getState()).toBe("completed")
  expect(await handle.result).toBe(2)
  await clock.advance(3_600_000)
  expect(await handle.getState()).toBe(undefined)
  const closed = app.close()
  await clock.advance(5000)
  await closed
}, 60_000)
