import { Redis } from "ioredis"
import { describe, expect, it, onTestFinished } from "vitest"
import { type Adapter, ConnectionError, UnconfirmedError } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { scripts } from "../../src/store/scripts.ts"
import { hearTask } from "../support/hearing.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { type FaultyProxy, startProxy } from "../support/proxy.ts"
import { redisAvailable, startRedis } from "../support/redis-server.ts"
import { tally } from "./ledger.ts"

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Jobs whose dispatch was answered, those of which nothing is known, and those that were refused. */
class Dispatches {
  readonly stored: string[] = []
  readonly unknown: string[] = []
  readonly refused: string[] = []
  readonly others: unknown[] = []

  async of(handle: PromiseLike<string> & { readonly id: string }): Promise<void> {
    try {
      this.stored.push(await handle)
    } catch (error) {
      if (error instanceof UnconfirmedError) this.unknown.push(handle.id)
      else if (error instanceof ConnectionError) this.refused.push(handle.id)
      else this.others.push(error)
    }
  }
}

describe.skipIf(!redisAvailable())("connections lost under load (redis)", () => {
  const open = testApps()

  /** Two workers and a producer that dispatches until it is told to stop. */
  async function underLoad(url: string) {
    const prefix = "load"
    const retention = { completed: { maxItems: 100_000 } }
    const ran: string[] = []
    const attempts = new Set<number>()
    const errors: (Error & { kind?: string })[] = []
    const newApp = () => {
      const app = open(
        { adapter: redisAdapter(url, { prefix }), retention, events: { maxLength: 100_000 } },
        true,
      )
      app.on("worker:error", (error) => errors.push(error))
      return app
    }
    const handler = async (ms: number, ctx: { id: string; attempt: number }) => {
      ran.push(ctx.id)
      attempts.add(ctx.attempt)
      await wait(ms)
    }
    for (let i = 0; i < 2; i++) {
      const app = newApp()
      app.task<number>("work", { handler, concurrency: 10 })
      await app.start()
    }
    const producer = newApp()
    const task = producer.task<number>("work")
    const heard = hearTask(task)
    await producer.listen()
    const dispatches = new Dispatches()
    const underWay: Promise<void>[] = []
    let stopped = false
    const dispatching = (async () => {
      for (let i = 0; !stopped; i++) {
        underWay.push(dispatches.of(task.dispatch(5 + ((i * 7) % 25))))
        await wait(2)
      }
    })()
    return {
      ran,
      errors,
      heard,
      /** Stops dispatching, waits until all is done, and checks that nothing was lost and nothing ran twice. */
      async settle() {
        stopped = true
        await dispatching
        await Promise.all(underWay)
        const count = async () => producer.inspect().stats()
        await until(async () => {
          // The connection may be on its way back.
          const counts = await count().catch(() => undefined)
          if (!counts) return false
          const { waiting, active, completed } = counts
          return waiting + active === 0 && completed >= dispatches.stored.length
        }, "all jobs are done")
        expect(dispatches.others).toEqual([])
        const runs = tally(ran)
        expect([...runs].filter(([, times]) => times !== 1)).toEqual([])
        expect(dispatches.stored.filter((id) => !runs.has(id))).toEqual([])
        expect(dispatches.refused.filter((id) => runs.has(id))).toEqual([])
        expect([...runs.keys()].filter((id) => dispatches.refused.includes(id))).toEqual([])
        expect(attempts).toEqual(new Set([1]))
        const stats = await count()
        expect(stats.completed).toBe(runs.size)
        expect(stats.transitions).toMatchObject({
          dispatched: runs.size,
          started: runs.size,
          completed: runs.size,
          stalled_recovered: 0,
          released: 0,
        })
        await heard.until("completed", runs.size)
        expect(heard.of("completed").length).toBe(runs.size)
        expect(heard.of("active").length).toBe(runs.size)
        return dispatches
      },
    }
  }

  it("killed every 10 to 200 ms: nothing is lost, and nothing runs twice", async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const killer = new Redis(server.url)
    onTestFinished(() => killer.disconnect())
    const load = await underLoad(server.url)
    const end = performance.now() + 5000
    let kills = 0
    while (performance.now() < end) {
      await wait(10 + Math.random() * 190)
      const killed = await killer.call("client", "kill", "type", "normal", "skipme", "yes")
      if (Number(killed) > 0) kills++
      if (kills % 4 === 0) await killer.call("client", "kill", "type", "pubsub")
    }
    expect(kills).toBeGreaterThan(15)
    const { stored } = await load.settle()
    expect(stored.length).toBeGreaterThan(200)
    expect(new Set(load.errors.map(({ kind }) => kind))).toEqual(new Set(["connection"]))
  })

  it("by restarts of a server that keeps its data: nothing is lost, and each outage is told once", async () => {
    const server = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] })
    onTestFinished(() => server.stop())
    const load = await underLoad(server.url)
    for (let restarts = 1; restarts <= 2; restarts++) {
      await wait(500)
      const before = load.ran.length
      await server.restart()
      await until(() => load.ran.length > before + 50, "work goes on")
      // The producer and two workers.
      expect(load.errors.length).toBe(3 * restarts)
    }
    const { stored } = await load.settle()
    expect(stored.length).toBeGreaterThan(100)
    expect(load.errors.length).toBe(6)
    expect(new Set(load.errors.map(({ kind }) => kind))).toEqual(new Set(["connection"]))
  })
})

onRedis("while Redis is away", (host) => {
  const open = testApps()

  async function proxied(adapter: Adapter): Promise<{ proxy: FaultyProxy; behind: Adapter }> {
    const proxy = await startProxy(Number(new URL(host.url()!).port))
    onTestFinished(() => proxy.stop())
    return { proxy, behind: redisAdapter(proxy.url, { prefix: adapter.prefix }) }
  }

  it("a dispatch waits 5 s, is rejected, and never sent later; the outage is told once", async () => {
    const adapter = host.adapter()
    const { proxy, behind } = await proxied(adapter)
    const app = open({ adapter: behind }, true)
    const errors: Error[] = []
    app.on("worker:error", (error) => errors.push(error))
    const task = app.task<number>("work", () => {})
    await app.start()
    await task.dispatch(0)
    proxy.refusing = true
    proxy.cut()
    await until(() => errors.length > 0, "the outage is noticed")
    const start = performance.now()
    await expect(task.dispatch(1)).rejects.toBeInstanceOf(ConnectionError)
    const waited = performance.now() - start
    expect(waited).toBeGreaterThan(4500)
    expect(waited).toBeLessThan(5500)
    const late = task.dispatch(2)
    proxy.refusing = false
    await late
    await task.dispatch(3)
    await until(async () => (await app.inspect().stats()).completed === 3, "the others have run")
    expect((await app.inspect().stats()).transitions.dispatched).toBe(3)
    expect(errors.map(({ name }) => name)).toEqual(["ConnectionError"])
  })

  it("a dispatch whose answer is swallowed is unconfirmed, and exists once or not at all", async () => {
    const each = (["requests", "replies"] as const).map(async (direction) => {
      const adapter = host.adapter()
      const { proxy, behind } = await proxied(adapter)
      const app = open({ adapter: behind }, true)
      app.on("worker:error", () => {})
      const task = app.task<number>("work")
      await task.dispatch(0)
      proxy.swallowed.add(direction)
      const start = performance.now()
      const handle = task.dispatch(1)
      await expect(handle).rejects.toBeInstanceOf(UnconfirmedError)
      expect(performance.now() - start).toBeLessThan(6500)
      proxy.swallowed.delete(direction)
      await task.dispatch(2)
      const reader = open({ adapter: host.sibling(adapter) })
      reader.task("work")
      expect((await reader.inspect().stats()).waiting).toBe(direction === "requests" ? 2 : 3)
      expect((await reader.inspect().find(handle.id)) !== undefined).toBe(direction === "replies")
    })
    await Promise.all(each)
  })

  for (const fault of ["request lost", "reply lost", "request late"] as const) {
    it(`a call whose ${fault.replace("late", "comes late")} is sent again and has one effect`, async () => {
      const adapter = host.adapter()
      const { proxy, behind } = await proxied(adapter)
      const app = open({ adapter: behind }, true)
      app.on("worker:error", () => {})
      let runs = 0
      const task = app.task<string, string>("work", (word) => {
        runs++
        return `${word}-result`
      })
      const reader = open({ adapter: host.sibling(adapter) })
      const heard = hearTask(reader.task("work"))
      await reader.listen()
      await app.start()
      const late: { deliver(): Promise<void> }[] = []
      const words = ["dispatch", "claim", "settle"] as const
      for (const [i, word] of words.entries()) {
        // What is in the call: the data, any claim, and the result.
        const texts = { dispatch: '"dispatch"', claim: scripts.settle.source.sha, settle: '"settle-result"' }
        const text = texts[word]
        const landed = proxy.strike(text, fault)
        await task.dispatch(word)
        await heard.until("completed", i + 1)
        const { deliver } = await landed
        late.push({ deliver })
      }
      for (const { deliver } of late) await deliver()
      await task.dispatch("last")
      await heard.until("completed", words.length + 1)
      expect(runs).toBe(words.length + 1)
      expect(heard.of("completed").map(({ result }) => result)).toEqual(
        [...words, "last"].map((word) => `${word}-result`),
      )
      expect(heard.of("active").length).toBe(words.length + 1)
      const stats = await reader.inspect().stats()
      const count = words.length + 1
      expect(stats).toMatchObject({ waiting: 0, active: 0, completed: count })
      expect(stats.transitions).toMatchObject({ dispatched: count, started: count, completed: count })
    })
  }
})
