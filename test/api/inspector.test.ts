import { hostname } from "node:os"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { AppOptions } from "../../src/index.ts"
import { deferred } from "../../src/model/deferred.ts"
import { hearApp } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("the inspector", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })

  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  /** An app with jobs in every state, two tasks in all. */
  async function everyState() {
    const taskora = app()
    const { promise: held, resolve: letGo } = deferred<void>()
    const work = taskora.task<string, string>("work", {
      concurrency: 2,
      handler: async (data) => {
        if (data === "fail") throw new Error("failed")
        if (data === "hold") await held
        return data
      },
    })
    const idle = taskora.task("idle")
    const heard = hearApp(taskora)
    await taskora.start()
    await work.dispatch("done").result
    await work.dispatch("fail").result.catch(() => {})
    const cancelled = work.dispatch("never", { delay: "1h" })
    await cancelled
    await cancelled.cancel({ reason: "no" })
    await work.dispatch("later", { delay: "1h" })
    await Promise.all([work.dispatch("hold"), work.dispatch("hold")])
    await heard.until("active", 4)
    await Promise.all([work.dispatch("wait 1"), work.dispatch("wait 2"), idle.dispatch("wait 3")])
    return { taskora, letGo }
  }

  it("stats: counts per state, the oldest job that could run, and every transition; per task or over all", async () => {
    const { taskora, letGo } = await everyState()
    const inspector = taskora.inspect()
    const all = await inspector.stats()
    expect(all).toMatchObject({ waiting: 3, delayed: 1, active: 2, completed: 1, failed: 1, cancelled: 1 })
    expect(all.oldest).toBeGreaterThan(Date.now() - 60_000)
    expect(all.transitions).toMatchObject({ dispatched: 9, started: 4, completed: 1, failed: 1 })
    const work = await inspector.stats({ task: "work" })
    expect(work).toMatchObject({ waiting: 2, delayed: 1, active: 2, completed: 1, failed: 1, cancelled: 1 })
    expect(await inspector.stats({ task: "idle" })).toMatchObject({ waiting: 1, active: 0 })
    letGo()
    await until(async () => (await inspector.stats({ task: "work" })).completed === 5, "all completed")
    expect(await inspector.stats({ task: "work" })).not.toHaveProperty("oldest")
  })

  it("lists jobs of each state as JobInfo, each in one list alone", async () => {
    const { taskora, letGo } = await everyState()
    const inspector = taskora.inspect()
    const listed: Record<string, unknown[]> = {}
    for (const state of ["waiting", "active", "delayed", "completed", "failed", "cancelled"] as const) {
      const jobs = await inspector[state]()
      for (const job of jobs) {
        expect(job.state).toBe(state)
        expect(await inspector.find(job.id)).toEqual(job)
      }
      listed[state] = jobs.map(({ data }) => data)
    }
    expect(listed).toEqual({
      waiting: expect.arrayContaining(["wait 1", "wait 2", "wait 3"]),
      ...{ active: ["hold", "hold"], delayed: ["later"], completed: ["done"], failed: ["fail"] },
      cancelled: ["never"],
    })
    expect((await inspector.waiting({ task: "idle" })).map(({ data }) => data)).toEqual(["wait 3"])
    expect((await inspector.failed())[0]!.error).toMatchObject({ name: "Error", message: "failed" })
    expect((await inspector.cancelled())[0]).toMatchObject({ reason: "no" })
    letGo()
  })

  it("pages with limit and cursor cover all jobs once", async () => {
    const taskora = app()
    const [first, second] = [taskora.task("first"), taskora.task("second")]
    await Promise.all([
      ...first.dispatchMany(Array.from({ length: 25 }, (_, i) => ({ data: i }))),
      ...first.dispatchMany(
        Array.from({ length: 5 }, (_, i) => ({ data: 100 + i, options: { priority: 1 } })),
      ),
      ...second.dispatchMany(Array.from({ length: 12 }, (_, i) => ({ data: 200 + i }))),
    ])
    const inspector = taskora.inspect()
    const seen: unknown[] = []
    let cursor: string | undefined
    let pages = 0
    do {
      const page = await inspector.waiting({ limit: 10, ...(cursor === undefined ? {} : { cursor }) })
      expect(page.length).toBeLessThanOrEqual(10)
      seen.push(...page.map(({ data }) => data))
      cursor = page.nextCursor
      pages++
    } while (cursor !== undefined && pages < 20)
    expect(seen).toHaveLength(42)
    expect(new Set(seen).size).toBe(42)
    expect(pages).toBeLessThanOrEqual(6)
    for (const limit of [0, -1, 501, 1.5, "5"])
      await expect(inspector.waiting({ limit: limit as number })).rejects.toMatchObject({ code: "INVALID" })
    await expect(inspector.waiting({ cursor: "elsewhere" })).rejects.toMatchObject({ code: "INVALID" })
  })

  it("find: undefined for an unknown id; tasks and options are checked", async () => {
    const taskora = app()
    taskora.task("known")
    const inspector = taskora.inspect()
    expect(await inspector.find("nobody")).toBeUndefined()
    await expect(inspector.find("x", { task: "unknown" })).rejects.toThrow("not declared")
    await expect(inspector.stats({ tsk: "known" } as never)).rejects.toThrow('did you mean "task"?')
  })

  it("tasks() lists every task declared under the prefix, by any process, with its info", async () => {
    const adapter = host.adapter()
    const one = openApp({ adapter })
    one.task("emails", { info: { owner: "mail", runbook: "https://example.org/mail" } })
    const two = openApp({ adapter: host.sibling(adapter) })
    two.task("accounts")
    await Promise.all([one.listen(), two.listen()])
    expect(await two.inspect().tasks()).toEqual([
      { name: "accounts" },
      { name: "emails", owner: "mail", runbook: "https://example.org/mail" },
    ])
  })

  it("workers() lists live worker processes, and those alone", async () => {
    const adapter = host.adapter()
    const worker = openApp({ adapter })
    worker.task("one", { concurrency: 3, handler: async () => 1 })
    worker.task("two", async () => 2)
    worker.task("heard")
    const other = openApp({ adapter: host.sibling(adapter) })
    expect(await other.inspect().workers()).toEqual([])
    await worker.start()
    expect(await other.inspect().workers()).toEqual([
      {
        id: expect.any(String),
        ...{ host: hostname(), pid: process.pid, since: expect.any(Number) },
        ...{ tasks: ["one", "two"], slots: 4, busy: 0 },
      },
    ])
    await worker.close()
    expect(await other.inspect().workers()).toEqual([])
  })

  it("throughput: jobs that ended within the window, and their rate", async () => {
    const taskora = app()
    const task = taskora.task<string, void>("counted", {
      handler: async (data, ctx) => {
        if (data === "fail" || ctx.attempt === 1) throw new Error("e")
      },
      retry: { attempts: 2, delay: 0 },
    })
    await taskora.start()
    const handles = task.dispatchMany([...Array(7).fill({ data: "ok" }), ...Array(3).fill({ data: "fail" })])
    await Promise.allSettled(handles.map((handle) => handle.result))
    const inspector = taskora.inspect()
    expect(await inspector.throughput("counted", { window: "10s" })).toEqual({
      completed: 7,
      failed: 3,
      perSecond: 1,
    })
    expect(await inspector.throughput()).toMatchObject({ completed: 7, failed: 3 })
    await expect(inspector.throughput("counted", { window: 0 })).rejects.toMatchObject({ code: "INVALID" })
  })

  it("inspecting changes nothing and needs no start()", async () => {
    const adapter = host.adapter()
    const taskora = openApp({ adapter })
    const task = taskora.task("still")
    await task.dispatch({})
    const inspector = taskora.inspect()
    const before = await inspector.stats()
    await inspector.waiting()
    await inspector.tasks()
    await inspector.workers()
    expect(await inspector.stats()).toEqual(before)
  })
})
