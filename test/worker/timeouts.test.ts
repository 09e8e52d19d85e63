import { expect, it, onTestFinished } from "vitest"
import { type Observer, type Source, TimeoutError } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, onRedis, testApps, until } from "../support/hosts.ts"
import { startProxy } from "../support/proxy.ts"
import { newLedger, tally } from "./ledger.ts"
import { workerProcesses } from "./processes.ts"
import { pause, type Work } from "./work.ts"

onBothHosts("a timeout", (host) => {
  const open = testApps()

  it("leaves a handler that ignores it in its slot, tells so once, and counts it as abandoned", async () => {
    let source: Source | undefined
    const observer: Observer = {
      name: "slots",
      source: (given) => {
        source = given
      },
    }
    const errors: Error[] = []
    const app = open({ adapter: host.adapter(), observers: [observer] }, true)
    app.on("worker:error", (error) => errors.push(error))
    let running = 0
    let most = 0
    let abandoned = 0
    const task = app.task<number>("work", {
      concurrency: 2,
      timeout: 60,
      handler: async () => {
        most = Math.max(most, ++running)
        await pause(1200)
        abandoned = Math.max(abandoned, source!.slots()[0]!.abandoned)
        running--
      },
    })
    const heard = hearTask(task)
    await app.start()
    const ids = await Promise.all(task.dispatchMany(Array.from({ length: 8 }, (_, i) => ({ data: i }))))
    await heard.until("failed", 8)
    await until(() => running === 0, "all handlers have ended")
    expect(most).toBe(2)
    expect(abandoned).toBe(2)
    expect(
      heard.of("failed").map(({ error, willRetry }) => [error.includes("timeout of 60 ms"), willRetry]),
    ).toEqual(ids.map(() => [true, false]))
    const told = errors.map(({ message }) => ids.find((id) => message.includes(id)))
    expect(tally(told.map(String))).toEqual(new Map(ids.map((id) => [id, 1])))
    expect(source!.slots()).toEqual([{ task: "work", busy: 0, abandoned: 0, idle: 2 }])
  })

  it("aborts the signal with a TimeoutError, and frees the slot of a handler that heeds it", async () => {
    const app = open({ adapter: host.adapter() })
    const reasons: unknown[] = []
    const task = app.task<number>("work", {
      timeout: 40,
      handler: async (_, { signal }) => {
        await pause(10_000, signal).catch((reason: unknown) => reasons.push(reason))
      },
    })
    const heard = hearTask(task)
    await app.start()
    await Promise.all(task.dispatchMany([{ data: 1 }, { data: 2 }, { data: 3 }]))
    await heard.until("failed", 3)
    await until(() => reasons.length === 3, "all heard of it")
    for (const reason of reasons) expect(reason).toBeInstanceOf(TimeoutError)
  })

  it("is set on onCancel: after 5 s the job is cancelled all the same, and that is told", async () => {
    const app = open({ adapter: host.adapter() }, true)
    const errors: Error[] = []
    app.on("worker:error", (error) => errors.push(error))
    let cleaning = 0
    const task = app.task<number>("work", {
      onCancel: () => {
        cleaning = performance.now()
        return new Promise(() => {})
      },
      handler: (_, { signal }) => pause(60_000, signal),
    })
    const heard = hearTask(task)
    await app.start()
    const handle = task.dispatch(1)
    await heard.until("active")
    expect(await handle.cancel({ reason: "enough" })).toBe("requested")
    await heard.until("cancelled")
    const lasted = performance.now() - cleaning
    expect(lasted).toBeGreaterThan(4900)
    expect(lasted).toBeLessThan(5500)
    expect(errors.map(({ message }) => message)).toEqual(['onCancel of task "work" took longer than 5000 ms'])
    expect(heard.all.map(({ event }) => event)).toEqual(["active", "cancelled"])
  })
})

onRedis("SIGTERM", (host) => {
  const open = testApps()
  const startWorker = workerProcesses()

  it("under load ends the process by itself, within a second of close(), and loses nothing", async () => {
    const ledger = newLedger()
    onTestFinished(() => ledger.remove())
    const adapter = host.adapter()
    const app = open({ adapter, retention: { completed: { maxItems: 1000 } } })
    const task = app.task<Work, string>("work")
    const heard = hearTask(task)
    await app.listen()
    const ids = await Promise.all(
      task.dispatchMany(Array.from({ length: 120 }, () => ({ data: { ms: 100 } }))),
    )
    const url = host.url()!
    const settings = { url, prefix: adapter.prefix, ledger: ledger.path, concurrency: 10, leaseMs: 5000 }
    for (const closeMs of [5000, 5000, 20, 20]) {
      const worker = await startWorker({ ...settings, closeMs })
      const before = ledger.of("began").length
      await until(() => ledger.of("began").length > before + 5, "it works")
      const ended = worker.close()
      await worker.heard("closed")
      const start = performance.now()
      expect(await ended).toBe(0)
      expect(performance.now() - start).toBeLessThan(1000)
      expect((await app.inspect().stats()).active).toBe(0)
    }
    const last = await startWorker(settings)
    await heard.until("completed", ids.length)
    expect(await last.close()).toBe(0)
    const cut = tally(ledger.of("aborted").map(({ id }) => id))
    expect(cut.size).toBeGreaterThan(0)
    for (const [id, runs] of tally(ledger.of("began").map(({ id }) => id)))
      expect(runs).toBe(1 + (cut.get(id) ?? 0))
    expect(heard.of("stalled")).toEqual([])
  })

  it("with Redis gone ends the process too", async () => {
    const ledger = newLedger()
    onTestFinished(() => ledger.remove())
    const proxy = await startProxy(Number(new URL(host.url()!).port))
    onTestFinished(() => proxy.stop())
    const { prefix } = host.adapter()
    const settings = {
      url: proxy.url,
      prefix,
      ledger: ledger.path,
      concurrency: 10,
      leaseMs: 5000,
      closeMs: 300,
    }
    const worker = await startWorker(settings)
    proxy.refusing = true
    proxy.cut()
    await worker.heard("error")
    const ended = worker.close()
    await worker.heard("closed")
    const start = performance.now()
    expect(await ended).toBe(0)
    expect(performance.now() - start).toBeLessThan(1000)
    expect(worker.errors.length).toBe(1)
  })
})
