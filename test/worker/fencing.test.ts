import { Redis } from "ioredis"
import { expect, it, onTestFinished } from "vitest"
import type { Adapter } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { newLedger } from "./ledger.ts"
import { workerProcesses } from "./processes.ts"
import type { Work } from "./work.ts"

const leaseMs = 500

onRedis("a worker that comes back after its lease", (host) => {
  const open = testApps()
  const startWorker = workerProcesses()

  async function setUp() {
    const ledger = newLedger()
    onTestFinished(() => ledger.remove())
    const adapter = host.adapter()
    const app = open({ adapter })
    const task = app.task<Work, string>("work")
    const heard = hearTask(task)
    await app.listen()
    const settings = {
      url: host.url()!,
      prefix: adapter.prefix,
      ledger: ledger.path,
      concurrency: 5,
      leaseMs,
    }
    return { ledger, app, task, heard, settings, store: await rawStore(host.url()!, adapter) }
  }

  /** What the task has in the store, but for the receipts and what is not a job's. */
  async function rawStore(url: string, { prefix }: Adapter) {
    const redis = new Redis(url)
    onTestFinished(() => redis.disconnect())
    const base = `${prefix}:taskora:{work}:`
    return async () => {
      const keys = (await redis.keys(`${prefix}:taskora:{work}:*`)).sort()
      const stats = Object.entries(await redis.hgetall(`${base}stats`))
      const texts = keys.filter((key) => /:(job|progress|result):/.test(key))
      return {
        keys,
        // A worker that lost its connection lets the tokens leap with its first claim: that is no effect of its late run.
        stats: stats.filter(([name]) => !/^(?:lane:.*|swept|token)$/.test(name)).sort(),
        events: await redis.xlen(`${base}events`),
        texts: texts.length > 0 ? await redis.mget(texts) : [],
      }
    }
  }

  async function lateWorker(work: Work, stop: boolean) {
    const { ledger, task, heard, settings, store } = await setUp()
    const other = await startWorker(settings)
    other.signal("SIGSTOP")
    const late = await startWorker(settings)
    const handle = task.dispatch({ ...work, talk: true, againMs: 20 })
    const id = await handle
    await until(() => ledger.of("began").length === 1, "the job runs")
    if (stop) late.signal("SIGSTOP")
    other.signal("SIGCONT")
    await heard.until("completed")
    expect(await handle.result).toBe(`by ${other.pid}`)
    const before = await store()

    late.signal("SIGCONT")
    const own = () => ledger.read().filter(({ pid }) => pid === late.pid)
    await until(() => own().length === 2, "the late run ends")
    await late.heard("lost")
    // Its closing waits for all that it has to say.
    expect(await late.close()).toBe(0)
    expect(await store()).toEqual(before)
    expect(heard.names(id)).toEqual(["active", "stalled", "active", "completed"])
    expect(heard.of("stalled")).toEqual([{ id, count: 1, action: "recovered" }])
    expect(late.errors).toEqual([])
    expect(other.errors).toEqual([])
    return own().map(({ what, reason }) => what + reason)
  }

  it("stopped and continued: aborts its handler with a LeaseLostError, and writes nothing", async () => {
    expect(await lateWorker({ ms: 4000 }, true)).toEqual(["began", "abortedLEASE_LOST"])
  })

  it("stopped and continued, with a handler that ends at once or goes on: writes nothing", async () => {
    expect(await lateWorker({ ms: 600, deaf: true }, true)).toEqual(["began", "ended"])
    expect(await lateWorker({ ms: 2500, deaf: true }, true)).toEqual(["began", "ended"])
  })

  it("its event loop blocked for more than two leases: aborts its handler, and writes nothing", async () => {
    expect(await lateWorker({ blockMs: 4 * leaseMs, ms: 2000 }, false)).toEqual([
      "began",
      "abortedLEASE_LOST",
    ])
  })

  it("continued while the job runs elsewhere: cannot end what is no longer its own", async () => {
    const { ledger, task, heard, settings } = await setUp()
    const other = await startWorker(settings)
    other.signal("SIGSTOP")
    const late = await startWorker(settings)
    const handle = task.dispatch({ ms: 600, deaf: true, talk: true, againMs: 2500 })
    const id = await handle
    await until(() => ledger.of("began").length === 1, "the job runs")
    late.signal("SIGSTOP")
    other.signal("SIGCONT")
    await until(() => ledger.of("began").length === 2, "the job runs elsewhere")
    late.signal("SIGCONT")
    await late.heard("lost")
    await until(() => ledger.of("ended").some(({ pid }) => pid === late.pid), "the late run ends")
    expect(await late.close()).toBe(0)
    expect(heard.names(id)).toEqual(["active", "stalled", "active"])
    expect(await handle.result).toBe(`by ${other.pid}`)
    expect(heard.names(id)).toEqual(["active", "stalled", "active", "completed"])
  })
})
