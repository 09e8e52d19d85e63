import { expect, it } from "vitest"
import { chain, chord } from "../../src/index.ts"
import type { Adapter } from "../../src/store/store.ts"
import { onBothHosts, onRedis, testApps, until } from "../support/hosts.ts"

onBothHosts("large workflows", (host) => {
  const open = testApps()

  it("a fan-out and a fan-in of 2,000 nodes, behind one and before one", async () => {
    const app = open({ adapter: host.adapter() })
    const count = app.task("count", async (n: number) => Array.from({ length: n }, (_, i) => i))
    const same = app.task("same", { concurrency: 100, handler: async (n: unknown) => n })
    const all = app.task("all", async (values: readonly unknown[]) => values.length)
    await app.start()
    const members = Array.from({ length: 2000 }, (_, i) => same.s(i))
    const handle = chain(count.s(3), chord(members, all.s())).dispatch({ name: "wide" })
    expect(await handle.waitFor("60s")).toBe(2000)
    const two = chain(
      same.map(Array.from({ length: 300 }, (_, i) => i)),
      same.map([1, 2, 3]),
      all.s(),
    ).dispatch()
    expect(await two.waitFor("60s"), "many before many meet at one gate").toBe(3)
    const graph = (await two.getGraph())!
    expect(graph.nodes.at(-2)!.dependsOn).toHaveLength(300)
  }, 120_000)

  it("a chain of 300", async () => {
    const app = open({ adapter: host.adapter() })
    const next = app.task("next", async (n: number) => n + 1)
    await app.start()
    let row = next.s(0)
    for (let i = 1; i < 300; i++) row = row.pipe(next.s()) as typeof row
    expect(await row.dispatch().waitFor("60s")).toBe(300)
  }, 90_000)
})

/** Measures the longest call of each script, as the server counts it. */
function timed(adapter: Adapter, longest: Map<string, number>): Adapter {
  return {
    ...adapter,
    open(...given) {
      const store = adapter.open(...given)
      const run = store.run.bind(store)
      store.run = async (script, keys, args) => {
        longest.set(script.name, Math.max(longest.get(script.name) ?? 0, keys.length + args.length))
        return run(script, keys, args)
      }
      return store
    },
  }
}

onRedis("a group of 10,000", (host) => {
  const open = testApps()

  it("works by calls of bounded size, and gives its results in order", async () => {
    const longest = new Map<string, number>()
    const app = open({ adapter: timed(host.adapter(), longest) })
    const double = app.task("double", { concurrency: 100, handler: async (n: number) => n * 2 })
    await app.start()
    const handle = double.map(Array.from({ length: 10_000 }, (_, i) => i)).dispatch()
    const result = await handle.waitFor("90s")
    expect(result).toEqual(Array.from({ length: 10_000 }, (_, i) => i * 2))
    for (const script of ["plan", "advance", "graph", "outbox", "deliver", "enqueue", "settle"])
      expect(longest.get(script), script).toBeLessThan(1600)
    await until(async () => (await handle.getState()) === "completed", "it is completed")
  }, 120_000)
})
