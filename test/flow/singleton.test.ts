import { expect, it } from "vitest"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("singleton", (host) => {
  const open = testApps()

  it("at most one job of the task is active in the whole cluster", async () => {
    const adapter = host.adapter()
    let active = 0
    let most = 0
    const by = new Set<number>()
    const apps = [0, 1, 2].map((k) => {
      const app = open({ adapter: k === 0 ? adapter : host.sibling(adapter) })
      const task = app.task<number, number>("report", {
        singleton: true,
        handler: async (data) => {
          most = Math.max(most, ++active)
          by.add(k)
          await new Promise((resolve) => setTimeout(resolve, 3))
          active--
          return data
        },
      })
      return { app, task }
    })
    for (const { app } of apps) await app.start()
    const handles = apps.flatMap(({ task }, k) =>
      Array.from({ length: 20 }, (_, i) => task.dispatch(100 * k + i)),
    )
    const results = await Promise.all(handles.map((handle) => handle.result))
    expect(results.length).toBe(60)
    expect(most).toBe(1)
  })

  it("one that is blocked neither spins nor forgets: it goes on when the other ends", async () => {
    const adapter = host.adapter()
    const calls: string[] = []
    const observer = {
      name: "test",
      storeCall: <T>(call: { script: string }, run: () => Promise<T>) => {
        calls.push(call.script)
        return run()
      },
    }
    const one = open({ adapter })
    let release = () => {}
    const held = one.task("report", {
      singleton: true,
      handler: () =>
        new Promise<void>((resolve) => {
          release = resolve
        }),
    })
    await one.start()
    const first = held.dispatch(1)
    await first
    await until(async () => (await first.getState()) === "active", "the first one runs")
    const other = open({ adapter: host.sibling(adapter), observers: [observer] })
    const task = other.task("report", { singleton: true, handler: () => "done" })
    await other.start()
    const second = task.dispatch(2)
    await second
    await new Promise((resolve) => setTimeout(resolve, 300))
    const before = calls.filter((script) => script === "settle").length
    await new Promise((resolve) => setTimeout(resolve, 1000))
    expect(calls.filter((script) => script === "settle").length - before).toBeLessThanOrEqual(3)
    expect(await second.getState()).toBe("waiting")
    // The holder goes away with its job done, and takes no other: the one that waits must hear of it.
    const closed = one.close({ timeout: 5000 })
    release()
    await closed
    expect(await second.waitFor("10s")).toBe("done")
  }, 30_000)

  it("a crashed holder's job is recovered, and runs before others", async () => {
    const adapter = host.adapter()
    const { claimAndVanish } = await import("../support/ghost.ts")
    const app = open({ adapter })
    const order: unknown[] = []
    const task = app.task("report", {
      singleton: true,
      stall: { interval: 200, maxCount: 5 },
      handler: (data: unknown) => {
        order.push(data)
      },
    })
    await app.listen()
    const handles = task.dispatchMany([{ data: 1 }, { data: 2 }])
    await Promise.all(handles)
    await claimAndVanish(host.sibling(adapter), "report", 100)
    await app.start()
    await Promise.all(handles.map((handle) => handle.result))
    expect(order).toEqual([1, 2])
  })

  it("cannot be had with a concurrency, and an app's default does not count", async () => {
    const app = open({ adapter: host.adapter(), defaults: { concurrency: 10 } })
    expect(() => app.task("a", { singleton: true, concurrency: 2 })).toThrow(
      'task "a": a singleton runs one job at a time; leave out concurrency (2)',
    )
    expect(() => app.task("b", { singleton: "yes" as never })).toThrow(
      'singleton must be true or false, not "yes"',
    )
    const task = app.task("c", { singleton: true, handler: () => {} })
    expect(task.definition.concurrency).toBe(1)
  })
})
