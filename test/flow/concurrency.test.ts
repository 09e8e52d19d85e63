import { Redis } from "ioredis"
import { expect, it } from "vitest"
import { prometheus } from "../../exporters/prometheus.ts"
import type { DispatchOptions } from "../../src/index.ts"
import { onBothHosts, onRedis, testApps, until } from "../support/hosts.ts"
import { newLedger } from "../worker/ledger.ts"
import { workerProcesses } from "../worker/processes.ts"
import type { Work } from "../worker/work.ts"

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

onBothHosts("concurrency keys", (host) => {
  const open = testApps()

  it("at most N of a key's jobs are active, over all processes; other keys are not held up", async () => {
    const adapter = host.adapter()
    const active = new Map<string, number>()
    const most = new Map<string, number>()
    const apps = [adapter, host.sibling(adapter)].map((own) => {
      const app = open({ adapter: own })
      const task = app.task<{ user: string }, void>("mail", {
        concurrency: 20,
        concurrencyKey: ({ user }) => user,
        concurrencyLimit: 2,
        handler: async ({ user }) => {
          const now = (active.get(user) ?? 0) + 1
          active.set(user, now)
          most.set(user, Math.max(most.get(user) ?? 0, now))
          await sleep(2)
          active.set(user, active.get(user)! - 1)
        },
      })
      return { app, task }
    })
    for (const { app } of apps) await app.start()
    const jobs = Array.from({ length: 200 }, (_, i) => ({ data: { user: `u${i % 7}` } }))
    const handles = apps.flatMap(({ task }) => task.dispatchMany(jobs))
    await Promise.all(handles.map((handle) => handle.result))
    expect([...most.values()].every((count) => count <= 2)).toBe(true)
    expect([...most.values()]).toContain(2)
    expect(await apps[0]!.app.inspect().stats()).toMatchObject({
      completed: 100,
      parked: 0,
      waiting: 0,
      active: 0,
    })
  }, 60_000)

  it("order within a key is first come, first served, within priority", async () => {
    const app = open({ adapter: host.adapter() })
    const order: number[] = []
    const task = app.task<number, void>("mail", {
      concurrency: 5,
      concurrencyKey: "one",
      handler: async (data) => {
        order.push(data)
        await sleep(2)
      },
    })
    const plain = Array.from({ length: 10 }, (_, i) => ({ data: i }))
    const handles = task.dispatchMany([...plain, { data: 99, options: { priority: 5 } }])
    await Promise.all(handles)
    await app.start()
    await Promise.all(handles.map((handle) => handle.result))
    expect(order).toEqual([99, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it("a blocked job is `parked`: in its state, in lists, in the stats, and in `taskora_queue_jobs`", async () => {
    const metrics = prometheus({ port: false })
    const app = open({ adapter: host.adapter(), observers: [metrics] })
    let release = () => {}
    const task = app.task("mail", {
      concurrency: 5,
      handler: () =>
        new Promise<void>((resolve) => {
          release = resolve
        }),
    })
    await app.start()
    const key = { concurrencyKey: "k" }
    const first = task.dispatch(1, key)
    await until(async () => (await first.getState()) === "active", "the first one runs")
    const second = task.dispatch(2, key)
    expect(await second).toBe(second.id)
    expect(await second.getState()).toBe("parked")
    expect((await app.inspect().parked()).map(({ id, state }) => [id, state])).toEqual([
      [second.id, "parked"],
    ])
    expect(await app.inspect().stats()).toMatchObject({ parked: 1, waiting: 0, active: 1 })
    const text = await metrics.registry.metrics()
    expect(text).toMatch(/taskora_queue_jobs\{[^}]*state="parked"[^}]*\} 1/)
    release()
    await first.result
    await until(async () => (await second.getState()) === "active", "the second one runs")
    release()
    await second.result
  })

  it("a parked job can be cancelled, deduplicated against, and expires", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task("mail", { concurrency: 5, handler: () => sleep(1500) })
    await app.start()
    const first = task.dispatch(1, { concurrencyKey: "k" })
    await until(async () => (await first.getState()) === "active", "the first one runs")
    const unwanted = task.dispatch(2, { concurrencyKey: "k" })
    await unwanted
    expect(await unwanted.cancel({ reason: "no" })).toBe("cancelled")
    const once = {
      concurrencyKey: "k",
      deduplicate: { key: "d", while: ["waiting"] },
    } satisfies DispatchOptions
    const parked = task.dispatch(3, once)
    await parked
    expect(await parked.getState()).toBe("parked")
    const again = task.dispatch(4, once)
    await again
    expect([again.enqueued, again.existingId]).toEqual([false, parked.id])
    await expect(task.dispatch(5, { concurrencyKey: "k", ttl: 50 }).result).rejects.toThrow(
      "was not started within",
    )
  })

  it("a dispatch overrides the task's key and limit", async () => {
    const app = open({ adapter: host.adapter() })
    let active = 0
    let most = 0
    const task = app.task("mail", {
      concurrency: 10,
      concurrencyKey: "task",
      handler: async () => {
        most = Math.max(most, ++active)
        await sleep(10)
        active--
      },
    })
    await app.start()
    const own = { concurrencyKey: "own", concurrencyLimit: 3 }
    const handles = Array.from({ length: 12 }, () => task.dispatch(1, own))
    await Promise.all(handles.map((handle) => handle.result))
    expect(most).toBe(3)
  })

  it.each([
    [{ concurrencyKey: "" }, "concurrencyKey"],
    [{ concurrencyKey: "a\nb" }, "concurrencyKey"],
    [{ concurrencyKey: "x".repeat(129) }, "1 to 128 bytes"],
    [{ concurrencyKey: "a", concurrencyLimit: 0 }, "from 1 to 1000"],
    [{ concurrencyKey: "a", concurrencyLimit: 1001 }, "from 1 to 1000"],
    [{ concurrencyLimit: 2 }, "concurrencyLimit (2) needs a concurrencyKey"],
  ] as const)("a dispatch with %o is refused in words", (options, words) => {
    const app = open({ adapter: host.adapter() })
    expect(() => app.task("mail").dispatch(1, options)).toThrow(words)
  })

  it("what the task's function throws, or gives that is no key, is the dispatcher's to hear", () => {
    const app = open({ adapter: host.adapter() })
    const broken = app.task<{ user?: string }, void>("a", { concurrencyKey: ({ user }) => user!.trim() })
    expect(() => broken.dispatch({})).toThrow(/task "a".*concurrencyKey threw for this data/)
    const none = app.task("b", { concurrencyKey: () => 7 as never })
    expect(() => none.dispatch(1)).toThrow('task "b": dispatch: concurrencyKey: 7 is not allowed')
  })
})

onRedis("concurrency keys and a crash", (host) => {
  const open = testApps()
  const startWorker = workerProcesses()

  it("200 keys, limit 2, 3 workers, one killed half-way: never more than two leases a key, all done, no key left", async () => {
    const ledger = newLedger()
    const adapter = host.adapter()
    const app = open({ adapter, retention: { completed: { maxItems: 10_000 } } })
    const task = app.task<Work, string>("work")
    const keyOf = new Map<string, string>()
    const active = new Map<string, number>()
    let most = 0
    let ended = 0
    const leave = ({ id }: { id: string }) => {
      const key = keyOf.get(id)!
      active.set(key, active.get(key)! - 1)
    }
    // The stream tells leases in the order in which they were given and ended, whoever did it.
    task.on("active", ({ id }) => {
      const key = keyOf.get(id)!
      const now = (active.get(key) ?? 0) + 1
      active.set(key, now)
      most = Math.max(most, now)
    })
    task.on("completed", (payload) => {
      leave(payload)
      ended++
    })
    task.on("stalled", leave)
    await app.listen()
    const settings = {
      url: host.url()!,
      prefix: adapter.prefix,
      ledger: ledger.path,
      concurrency: 30,
      leaseMs: 500,
    }
    const workers = await Promise.all([0, 1, 2].map(() => startWorker({ ...settings, maxStalls: 100 })))
    for (let round = 0; round < 5; round++) {
      const jobs = Array.from({ length: 200 }, (_, k) => {
        const jobId = `k${k}-${round}`
        keyOf.set(jobId, `k${k}`)
        return {
          data: { ms: 10 + ((k * 7) % 30) },
          options: { jobId, concurrencyKey: `k${k}`, concurrencyLimit: 2 },
        }
      })
      await Promise.all(task.dispatchMany(jobs))
    }
    await until(() => ended >= 400, "half of them are done", 60_000)
    await workers[0]!.kill()
    await until(() => ended >= 1000, "all are done", 60_000)
    expect(ended).toBe(1000)
    expect(most).toBe(2)
    const redis = new Redis(host.url()!)
    const left = (await redis.keys(`${adapter.prefix}:*`)).filter((key) =>
      /:(holders|parked|expiring)/.test(key),
    )
    redis.disconnect()
    expect(left).toEqual([])
    expect(await app.inspect().stats()).toMatchObject({ parked: 0, waiting: 0, active: 0, completed: 1000 })
    ledger.remove()
  }, 180_000)
})
