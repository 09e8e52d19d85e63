import { expect, it } from "vitest"
import { memoryAdapter } from "../../src/memory.ts"
import { onBothHosts } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"
import { graveyards, ids } from "./graveyard.ts"

onBothHosts("clean()", (host) => {
  const graveyard = graveyards(host)

  /** Three jobs in each ended state, and one in each other. */
  async function everything() {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    for (let i = 0; i < 3; i++) {
      await work.dispatch({}, { jobId: `c${i}` }).result
      await yard.bury(work, [{ id: `f${i}`, fail: "no" }])
      const cancelled = work.dispatch({}, { jobId: `x${i}`, delay: "1h" })
      await cancelled
      await cancelled.cancel()
    }
    await work.dispatch({}, { jobId: "later", delay: "1h" })
    return yard
  }

  it.each([
    ["completed", { completed: 0, failed: 3, cancelled: 3 }],
    ["failed", { completed: 3, failed: 0, cancelled: 3 }],
    ["cancelled", { completed: 3, failed: 3, cancelled: 0 }],
  ] as const)("of %s jobs takes those, and no others", async (state, left) => {
    const { app } = await everything()
    expect(await app.clean({ state })).toBe(3)
    expect(await app.inspect().stats()).toMatchObject({ ...left, delayed: 1 })
    for (const id of [0, 1, 2])
      expect(await app.inspect().find(`${{ completed: "c", failed: "f", cancelled: "x" }[state]}${id}`)).toBe(
        undefined,
      )
    expect(await app.clean({ state })).toBe(0)
  })

  it("takes the oldest first, `limit` at the most, over all tasks", async () => {
    const yard = graveyard()
    const tasks = [yard.task("one"), yard.task("two")]
    await yard.app.start()
    for (const task of tasks)
      for (let i = 0; i < 3; i++) await task.dispatch({}, { jobId: `${task.name} ${i}` }).result
    expect(await yard.app.clean({ state: "completed", limit: 2 })).toBe(2)
    expect(ids(await yard.app.inspect().completed({ task: "one" }))).toEqual(["one 2"])
    expect(await yard.app.clean({ state: "completed", limit: 2 })).toBe(2)
    expect(ids(await yard.app.inspect().completed())).toEqual(["two 2", "two 1"])
    expect(await yard.app.clean({ state: "completed", task: "one" })).toBe(0)
  })

  it("leaves jobs that ended less than `olderThan` ago", async () => {
    const yard = await everything()
    expect(await yard.app.clean({ state: "failed", olderThan: "1h" })).toBe(0)
    expect(await yard.app.clean({ state: "completed", olderThan: 3_600_000 })).toBe(0)
    expect(await yard.app.inspect().stats()).toMatchObject({ completed: 3, failed: 3 })
  })

  it("takes any number, in batches", async () => {
    const yard = graveyard({ retention: { completed: { maxItems: 5000 }, failed: { maxItems: 5000 } } })
    const work = yard.task("work", { concurrency: 200 })
    await yard.app.start()
    const orders = Array.from({ length: 1400 }, (_, i) => ({ data: i % 2 ? {} : { fail: "no" } }))
    await Promise.all(work.dispatchMany(orders).map(({ result }) => result.catch(() => undefined)))
    expect(await yard.app.clean({ state: "failed", limit: 650 })).toBe(650)
    expect(await yard.app.clean({ state: "failed" })).toBe(50)
    expect(await yard.app.clean({ state: "completed" })).toBe(700)
    expect(await yard.app.inspect().stats()).toMatchObject({ completed: 0, failed: 0 })
  })

  it.each([
    [{ state: "waiting" }, /waiting jobs have not ended; cancel them instead/],
    [{ state: "active" }, /active jobs have not ended; cancel them instead/],
    [{ state: "done" }, /state is one of "completed", "failed", .*not "done"/],
    [{}, /state is one of/],
    [{ state: "failed", olderThan: "soon" }, /clean: olderThan/],
    [{ state: "failed", limit: 0 }, /limit must be a whole number of at least 1, not 0/],
    [{ state: "failed", older: 5 }, /there is no option "older"/],
    [{ state: "failed", task: "other" }, /task "other" is not declared/],
  ])("of %j is refused in words", async (options, message) => {
    const { app } = graveyard()
    app.task("work")
    await expect(app.clean(options as never)).rejects.toThrow(message)
  })
})

onBothHosts("clean() by age", (host) => {
  const graveyard = graveyards(host)

  it.runIf(host.name === "embedded")("takes those that ended at least so long ago", async () => {
    const clock = manualClock()
    const yard = graveyard({ adapter: memoryAdapter({ clock }) })
    const work = yard.task("work")
    await yard.app.start()
    for (const id of ["a", "b", "c"]) {
      await yard.bury(work, [{ id, fail: "no" }])
      await work.dispatch({}, { jobId: `${id} done` }).result
      await clock.advance(60_000)
    }
    expect(await yard.app.clean({ state: "failed", olderThan: "2m" })).toBe(2)
    expect(await yard.app.clean({ state: "completed", olderThan: 120_001 })).toBe(1)
    expect(ids(await yard.app.deadLetters.list())).toEqual(["c"])
    expect(ids(await yard.app.inspect().completed())).toEqual(["c done", "b done"])
  })
})
