import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import type { Observer } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { redisAdapter } from "../../src/redis.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, onRedis, type TestHost, testApps, until } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"
import { buildProgram, exited } from "../support/program.ts"
import { type FaultyProxy, startProxy } from "../support/proxy.ts"
import { newLedger, tally } from "./ledger.ts"
import { perform, type Work } from "./work.ts"

const closes = 30

onRedis("close() under load", (host) => {
  const open = testApps()

  /** Workers that are closed one after the other while jobs keep waiting, and one that does the rest. */
  async function closeUnderLoad(work: (i: number) => Work, timeout: number) {
    const ledger = newLedger()
    onTestFinished(() => ledger.remove())
    const adapter = host.adapter()
    const app = open({ adapter, retention: { completed: { maxItems: 100_000 } } })
    const task = app.task<Work, string>("work")
    const heard = hearTask(task)
    await app.listen()
    const released: string[] = []
    const observer: Observer = {
      name: "released",
      transition: (transition) => {
        if (transition.kind === "released") released.push(transition.attempt.id)
      },
    }
    const ids: string[] = []
    const newWorker = () => {
      const worker = open({
        adapter: host.sibling(adapter),
        observers: [observer],
        retention: { completed: { maxItems: 100_000 } },
      })
      const handler = (data: Work, ctx: Parameters<typeof perform>[1]) => perform(data, ctx, ledger)
      worker.task<Work, string>("work", { handler, concurrency: 20, stall: { interval: 5000 } })
      return worker
    }
    for (let round = 0; round < closes; round++) {
      const handles = task.dispatchMany(Array.from({ length: 40 }, (_, i) => ({ data: work(i) })))
      ids.push(...(await Promise.all(handles)))
      const worker = newWorker()
      await worker.start()
      await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 80))
      expect((await app.inspect().stats()).active, "it is closed under load").toBeGreaterThan(0)
      await worker.close({ timeout })
      expect(await app.inspect().active()).toEqual([])
    }
    const last = newWorker()
    await last.start()
    await until(() => heard.of("completed").length >= ids.length, "all have completed", 60_000)
    await last.close()

    const began = ledger.of("began")
    const runs = tally(began.map(({ id }) => id))
    const handed = tally(released)
    expect([...runs.keys()].sort()).toEqual([...ids].sort())
    expect(began.filter(({ attempt }) => attempt !== 1)).toEqual([])
    expect(tally(heard.of("completed").map(({ id }) => id))).toEqual(new Map(ids.map((id) => [id, 1])))
    expect(heard.of("stalled")).toEqual([])
    expect(heard.of("failed")).toEqual([])
    const stats = await app.inspect().stats()
    expect(stats).toMatchObject({ waiting: 0, delayed: 0, active: 0, completed: ids.length, failed: 0 })
    expect(stats.transitions).toMatchObject({
      released: released.length,
      started: ids.length + released.length,
    })
    return { ids, runs, handed, aborted: ledger.of("aborted") }
  }

  it("30 times, with time for the handlers: no job is dropped, run twice or left active", async () => {
    const { ids, runs, aborted } = await closeUnderLoad((i) => ({ ms: 20 + ((i * 13) % 80) }), 10_000)
    expect(runs).toEqual(new Map(ids.map((id) => [id, 1])))
    expect(aborted).toEqual([])
  }, 60_000)

  it("30 times, with too little time: each job that is handed back runs again once, as the same attempt", async () => {
    const { ids, runs, handed, aborted } = await closeUnderLoad((i) => ({ ms: 20 + ((i * 13) % 150) }), 15)
    expect(handed.size).toBeGreaterThan(closes)
    expect(new Set(aborted.map(({ reason }) => reason))).toEqual(new Set(["SHUTDOWN"]))
    // A claim under way at the close is handed back without ever having been run.
    const cut = tally(aborted.map(({ id }) => id))
    for (const id of ids) {
      expect(runs.get(id)).toBe(1 + (cut.get(id) ?? 0))
      expect(cut.get(id) ?? 0).toBeLessThanOrEqual(handed.get(id) ?? 0)
    }
  }, 60_000)
})

onRedis("close() without Redis", (host) => {
  const open = testApps()

  for (const how of ["down", "silent"] as const) {
    it(`with Redis ${how} returns within its timeout and 2 s; the jobs are recovered later`, async () => {
      const { proxy, worker, began, other, heard, ids } = await running(host)
      await until(() => began.length === 4, "all jobs run")
      if (how === "down") {
        proxy.refusing = true
        proxy.cut()
      } else {
        proxy.swallowed.add("requests").add("replies")
      }
      const start = performance.now()
      await Promise.all([worker.close({ timeout: 500 }), worker.close({ timeout: 1 })])
      expect(performance.now() - start).toBeLessThanOrEqual(2500)

      await other().start()
      await until(() => heard.of("completed").length === ids.length, "the jobs complete elsewhere")
      expect(heard.of("stalled")).toHaveLength(ids.length)
      expect(began.map(({ attempt }) => attempt)).toEqual(Array.from({ length: 8 }, () => 1))
    })
  }

  /** A worker behind a proxy that runs four jobs, which end elsewhere only. */
  async function running(at: TestHost) {
    const proxy = await startProxy(Number(new URL(at.url()!).port))
    onTestFinished(() => proxy.stop())
    const adapter = at.adapter()
    const app = open({ adapter })
    const task = app.task("work")
    const heard = hearTask(task)
    await app.listen()
    const began: { id: string; attempt: number }[] = []
    const options = { concurrency: 4, stall: { interval: 1000 } }
    const worker = open({ adapter: redisAdapter(proxy.url, { prefix: adapter.prefix }) }, true)
    worker.on("worker:error", () => {})
    worker.task("work", {
      ...options,
      handler: async (_, { id, attempt }) => {
        began.push({ id, attempt })
        await new Promise(() => {})
      },
    })
    await worker.start()
    const ids = await Promise.all(task.dispatchMany(Array.from({ length: 4 }, (_, i) => ({ data: i }))))
    const other = () => {
      const app = open({ adapter: at.sibling(adapter) })
      app.task("work", { ...options, handler: (_, { id, attempt }) => void began.push({ id, attempt }) })
      return app
    }
    return { proxy, worker, began, other, heard, ids }
  }
})

onRedis("start() and close()", (host) => {
  const open = testApps()

  function newApp(url = host.url()!) {
    const ran: string[] = []
    const app = open({ adapter: redisAdapter(url, { prefix: host.adapter().prefix }) })
    const task = app.task<string>("work", { handler: (name) => void ran.push(name) })
    return { app, task, ran }
  }

  async function proxied(): Promise<FaultyProxy> {
    const proxy = await startProxy(Number(new URL(host.url()!).port))
    onTestFinished(() => proxy.stop())
    return proxy
  }

  it("close() before start() works, and the app stays closed", async () => {
    const { app } = newApp()
    await app.close()
    await app.close()
    await expect(app.start()).rejects.toMatchObject({ code: "CLOSED" })
  })

  it("close() twice is one close, and start() twice is one start", async () => {
    const { app } = newApp()
    const told: string[] = []
    app.on("worker:ready", () => told.push("ready"))
    app.on("worker:closing", () => told.push("closing"))
    await Promise.all([app.start(), app.start()])
    await Promise.all([app.close(), app.close()])
    await app.close()
    expect(told).toEqual(["ready", "closing"])
  })

  it("close() during start() lets nothing start after it", async () => {
    const proxy = await proxied()
    for (let turn = 0; turn < 12; turn++) {
      const { app, ran } = newApp(proxy.url)
      proxy.delayMs = 3
      const job = app.task<string>("other").dispatch("x")
      const started = app.start().then(
        () => "started",
        (error: { code: string }) => error.code,
      )
      await new Promise((resolve) => setTimeout(resolve, turn * 4))
      await Promise.all([app.close({ timeout: 2000 }), job.then(undefined, () => undefined)])
      expect(["started", "CLOSED"]).toContain(await started)
      expect(ran).toEqual([])
      await until(() => proxy.connections === 0, "no connection is left")
    }
  })

  it("close() during a start() that waits for a silent server keeps its timeout", async () => {
    const proxy = await proxied()
    proxy.swallowed.add("replies")
    const { app } = newApp(proxy.url)
    const started = app.start().catch((error: { code: string }) => error.code)
    await until(() => proxy.connections > 0, "it connects")
    const start = performance.now()
    await app.close({ timeout: 300 })
    expect(performance.now() - start).toBeLessThanOrEqual(2300)
    expect(["CLOSED", "CONNECTION"]).toContain(await started)
  })

  it("start() without Redis fails clearly, and can be repeated", async () => {
    const proxy = await proxied()
    proxy.refusing = true
    const { app, task, ran } = newApp(proxy.url)
    const refused = { name: "ConnectionError", code: "CONNECTION" }
    const other = newApp(proxy.url).app
    await Promise.all([
      expect(app.start()).rejects.toMatchObject(refused),
      expect(app.start()).rejects.toMatchObject(refused),
      expect(other.start()).rejects.toMatchObject(refused),
    ])
    proxy.refusing = false
    await app.start()
    await task.dispatch("x")
    await until(() => ran.length === 1, "a job runs")
    await Promise.all([other.close(), app.close()])
    await until(() => proxy.connections === 0, "no connection is left")
  })
})

it("close() keeps the process alive until it is done, also on the memory engine", async () => {
  const program = await buildProgram(join(import.meta.dirname, "last-close.ts"))
  onTestFinished(() => program.remove())
  const child = program.start({})
  const told: unknown[] = []
  child.on("message", (message) => told.push(message))
  await exited(child)
  expect(told).toEqual(["closed"])
  expect(child.exitCode).toBe(0)
})

onBothHosts("what is dispatched while the app closes", (host) => {
  const open = testApps()

  it("by a handler, which still runs, is stored", async () => {
    const adapter = host.adapter()
    const app = open({ adapter })
    const next = app.task<number>("next")
    const began: string[] = []
    const first = app.task<number, string>("first", {
      handler: async (_, { id }) => {
        began.push(id)
        await new Promise((resolve) => setTimeout(resolve, 150))
        return next.dispatch(1)
      },
    })
    await app.start()
    await first.dispatch(1)
    await until(() => began.length === 1, "the handler runs")
    await app.close()
    const later = open({ adapter: host.sibling(adapter) })
    later.task("first")
    later.task("next")
    expect(await later.inspect().stats({ task: "first" })).toMatchObject({ completed: 1, failed: 0 })
    expect(await later.inspect().stats({ task: "next" })).toMatchObject({ waiting: 1 })
  })

  it("just before it, and awaited by nobody, is stored", async () => {
    const adapter = host.adapter()
    const app = open({ adapter }, true)
    let refused = 0
    app.on("worker:error", () => refused++)
    const task = app.task<number>("work")
    await task.dispatch(0)
    for (let i = 0; i < 3000; i++) void task.dispatch(i)
    await app.close()
    expect(refused).toBe(0)
    const later = open({ adapter: host.sibling(adapter) })
    later.task("work")
    expect(await later.inspect().stats()).toMatchObject({ waiting: 3001 })
  })

  it("after it is refused", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task<number>("work")
    await task.dispatch(0)
    await app.close()
    await expect(task.dispatch(1)).rejects.toMatchObject({ code: "CLOSED" })
  })
})

describe("close() of a worker that was just woken", () => {
  const open = testApps()

  it.each(Array.from({ length: 6 }, (_, i) => i))(
    "passes the marker on, %i turns of the loop later",
    async (turns) => {
      const clock = manualClock()
      const adapter = memoryAdapter({ clock })
      const ran: string[] = []
      const newApp = (name: string) => {
        const app = open({ adapter })
        return { app, task: app.task("work", () => void ran.push(name)) }
      }
      const settle = async () => {
        for (let turn = 0; turn < 20; turn++) await clock.advance(0)
      }
      const producer = open({ adapter }).task("work")
      // Waits first, and so is served first.
      const woken = newApp("woken")
      await woken.app.start()
      await settle()
      const other = newApp("other")
      await other.app.start()
      await settle()
      const stored = producer.dispatch({})
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
      let over = 0
      const closing = woken.app.close().then(() => over++)
      await Promise.all([stored, settle()])
      await settle()
      expect(ran).toHaveLength(1)
      const rest = other.app.close().then(() => over++)
      while (over < 2) await clock.advance(100)
      await Promise.all([closing, rest])
    },
  )
})
