import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Cluster, midnight } from "./support.ts"

let cluster: Cluster
beforeEach(() => {
  cluster = new Cluster()
})
afterEach(async () => {
  await cluster.end()
  expect(cluster.errors).toEqual([])
})

describe("a schedule with every", () => {
  test("fires one job a slot, from one interval after its registration on", async () => {
    const app = cluster.app()
    const ran: { at: number; id: string; data: unknown }[] = []
    const task = app.task("tick", (data: { n: number }, ctx) => {
      ran.push({ at: cluster.clock.now(), id: ctx.id, data })
    })
    app.schedule("every-second", { task, every: "1s", data: { n: 7 } })
    const started = app.start()
    await cluster.settle()
    await started
    const from = (await app.schedules.get("every-second"))!.next! - 1000
    expect(from).toBe(midnight)
    await cluster.pass(3500)
    expect(ran.map(({ at, id, data }) => [at, id, data])).toEqual(
      [1, 2, 3].map((k) => [midnight + 1000 * k, `every-second@2026-11-23T00:00:0${k}.000Z`, { n: 7 }]),
    )
  })
})
