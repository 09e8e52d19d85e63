import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { App } from "../../src/index.ts"
import type { Adapter } from "../../src/store/store.ts"
import { Cluster, midnight } from "./support.ts"

let cluster: Cluster
let ran: string[]
beforeEach(() => {
  cluster = new Cluster()
  ran = []
})
afterEach(() => cluster.end())

const seconds = () => ran.map((id) => (Date.parse(id.split("@")[1]!) - midnight) / 1000)

/** An app whose jobs leave no record behind: nothing but receipts can keep a firing from being doubled. */
async function start(adapter?: Adapter, handles = true): Promise<App> {
  const app = cluster.app([], adapter)
  app.task("t", {
    ...(handles ? { handler: (_: unknown, ctx: { id: string }) => void ran.push(ctx.id) } : {}),
    retention: { completed: { maxItems: 0 } },
  })
  app.schedule("s", { task: "t", every: "1s", onMissed: "catch-up" })
  return cluster.start(app)
}

describe("no run is lost or doubled by a crash between taking a slot and dispatching its job", () => {
  test.each([
    ["schedule_tick", "before"],
    ["schedule_tick", "after"],
    ["enqueue", "before"],
    ["enqueue", "after"],
    ["schedule_done", "before"],
    ["schedule_done", "after"],
  ] as const)("%s, %s: another process does what is left", async (script, when) => {
    await start(cluster.mortal(script, when), false)
    await start()
    await cluster.pass(3200)
    expect(seconds()).toEqual([1, 2, 3])
    const [state] = cluster.adapter.command(["HVALS", "taskora:{*schedules}:schedules"]) as string[]
    // Nothing is left open, and each slot counts once.
    expect(state).toMatch(/,3,0,0\t$/)
    expect(cluster.adapter.command(["ZCARD", "taskora:{*schedules}:pending"])).toBe(0)
  })

  test.each([
    ["enqueue", "before"],
    ["enqueue", "after"],
  ] as const)("%s, %s: within 100 ms while another process lives", async (script, when) => {
    await start(cluster.mortal(script, when), false)
    await start()
    const slot = midnight + 1000
    while (ran.length === 0) {
      await cluster.clock.advance(5)
      expect(cluster.clock.now()).toBeLessThan(slot + 100)
    }
    expect(seconds()).toEqual([1])
  })

  test("alone: the process that comes next dispatches it, though its job's turn was long ago", async () => {
    const app = await start(cluster.mortal("enqueue", "before"), false)
    await cluster.pass(1100)
    await cluster.close(app)
    await cluster.pass(1_800_000 - (cluster.clock.now() - midnight) - 500)
    await start()
    await cluster.pass(100)
    expect(seconds()[0]).toBe(1)
    expect(new Set(ran).size).toBe(ran.length)
  })

  test("what was taken of a schedule that nobody declares any more is dispatched too", async () => {
    const app = await start(cluster.mortal("enqueue", "before"), false)
    await cluster.pass(1100)
    await cluster.close(app)
    const next = cluster.app()
    next.task("t", (_, ctx) => void ran.push(ctx.id))
    next.schedule("other", { task: "t", every: "1h" })
    await cluster.start(next)
    await cluster.pass(100)
    expect(seconds()).toEqual([1])
  })
})

test.each([
  ["died", () => cluster.mortal("enqueue", "after")],
  ["was only slow", () => cluster.slow("enqueue", 60)],
])("dispatched by two, counted by one: the first %s", async (_, adapter) => {
  await start(adapter(), false)
  await start()
  await cluster.pass(3400)
  expect(cluster.of("dispatched").reduce((sum, { stored }) => sum + stored, 0)).toBe(3)
  expect(cluster.of("schedule fired")).toHaveLength(3)
})
