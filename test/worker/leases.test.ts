import { Redis } from "ioredis"
import { expect, it, onTestFinished } from "vitest"
import { LeaseLostError } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, onRedis, testApps, until } from "../support/hosts.ts"
import { startProxy } from "../support/proxy.ts"

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

onBothHosts("leases", (host) => {
  const open = testApps()

  it("of a thousand jobs in one process are all renewed in time", async () => {
    const app = open({ adapter: host.adapter() })
    let runs = 0
    const task = app.task<number>("work", {
      concurrency: 1000,
      stall: { interval: 900 },
      handler: async () => {
        runs++
        await wait(3000)
      },
    })
    const heard = hearTask(task)
    await app.start()
    await Promise.all(task.dispatchMany(Array.from({ length: 1000 }, (_, i) => ({ data: i }))))
    await heard.until("completed", 1000)
    expect(heard.of("stalled")).toEqual([])
    expect(runs).toBe(1000)
  })
})

onRedis("heartbeat()", (host) => {
  const open = testApps()

  it("renews the lease now, and throws once it is lost", async () => {
    const adapter = host.adapter()
    const redis = new Redis(host.url()!)
    onTestFinished(() => redis.disconnect())
    const active = `${adapter.prefix}:taskora:{work}:active`
    const deadline = async () =>
      Number(((await redis.call("zrange", active, 0, 0, "WITHSCORES")) as string[])[1])
    const seen: number[] = []
    let lost: unknown
    let reason: unknown
    const app = open({ adapter })
    const task = app.task<number>("work", {
      stall: { interval: 60_000 },
      handler: async (_, ctx) => {
        seen.push(await deadline())
        await wait(20)
        await ctx.heartbeat()
        seen.push(await deadline())
        await redis.del(active)
        lost = await ctx.heartbeat().catch((error: unknown) => error)
        reason = ctx.signal.reason
      },
    })
    const heard = hearTask(task)
    await app.start()
    await task.dispatch(1)
    await until(() => reason !== undefined, "the handler has ended")
    expect(seen[1]! - seen[0]!).toBeGreaterThanOrEqual(20)
    expect(lost).toBeInstanceOf(LeaseLostError)
    expect(reason).toBeInstanceOf(LeaseLostError)
    await app.close()
    expect(heard.all.map(({ event }) => event)).toEqual(["active"])
  })
})

onRedis("a task that is declared while Redis is away", (host) => {
  const open = testApps()

  it("has its jobs run, with leases that are kept, once Redis is back", async () => {
    const proxy = await startProxy(Number(new URL(host.url()!).port))
    onTestFinished(() => proxy.stop())
    const adapter = host.adapter()
    const app = open({ adapter: redisAdapter(proxy.url, { prefix: adapter.prefix }) }, true)
    app.task("other", () => {})
    await app.start()
    let runs = 0
    const options = {
      stall: { interval: 900 },
      handler: async () => {
        runs++
        await wait(2500)
      },
    }
    // Somebody who would recover a lease that is not kept, as soon as it has run out.
    const other = open({ adapter })
    const heard = hearTask(other.task<number>("work", options))
    await other.start()

    proxy.refusing = true
    proxy.cut()
    const errors: unknown[] = []
    app.on("worker:error", (error) => errors.push(error))
    const task = app.task<number>("work", options)
    await wait(50)
    proxy.refusing = false
    await Promise.all(task.dispatchMany([{ data: 1 }, { data: 2 }]))
    await heard.until("completed", 2)
    expect(runs).toBe(2)
    expect(new Set(heard.all.map(({ meta }) => meta.instance)).size, "both worked").toBe(2)
    expect(heard.of("stalled")).toEqual([])
    expect(errors.map((error) => (error as { kind?: string }).kind)).not.toContain("script")
  })
})
