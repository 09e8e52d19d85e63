import { expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import type { Held } from "./calls.ts"
import { failure } from "./calls.ts"
import { benchOf, heldOf, type TaskBench } from "./harness.ts"

const mostPriority = 2 ** 21

onBothHosts("the order in which jobs are claimed", (host) => {
  const bench = benchOf(host)

  async function claimAll(task: TaskBench): Promise<string[]> {
    return (await task.claim(500)).map(({ id }) => id)
  }

  async function settleAs(task: TaskBench, kind: "released" | "retried", held: readonly Held[], delay = 0) {
    const body = kind === "retried" ? `${delay}\n${failure}` : ""
    await task.fresh(
      task.calls.settle(
        task.next(),
        held.map((one) => ({ ...one, kind, body })),
      ),
    )
  }

  test("first come, first served, within one call and over calls", async () => {
    const task = bench.task()
    await task.dispatch("a", "b", "c")
    await task.dispatch("d")
    expect((await task.claim(2)).map(({ id }) => id)).toEqual(["a", "b"])
    expect(await claimAll(task)).toEqual(["c", "d"])
  })

  test("higher priorities first, first come, first served within one", async () => {
    const task = bench.task()
    const priorities = { a: 0, b: 5, c: mostPriority, d: 5, e: 1, f: mostPriority - 1, g: mostPriority, h: 0 }
    for (const [id, priority] of Object.entries(priorities))
      await task.fresh(task.calls.enqueue(task.next(), [{ id, priority }]))
    expect(await claimAll(task)).toEqual(["c", "g", "f", "b", "d", "e", "a", "h"])
  })

  test("many of one priority keep their order, whichever it is", async () => {
    const task = bench.task()
    const ids = Array.from({ length: 300 }, (_, i) => `j${(i * 7919) % 1000}`)
    for (const priority of [1, 2, 1000, mostPriority - 1, mostPriority]) {
      const jobs = ids.map((id) => ({ id: `${priority}-${id}`, priority }))
      await task.fresh(task.calls.enqueue(task.next(), jobs))
      expect(await claimAll(task)).toEqual(jobs.map(({ id }) => id))
    }
  })

  test.each([0, 3])("jobs of priority %d that are handed back keep their places", async (priority) => {
    const task = bench.task()
    // Ids whose alphabetical order is not theirs: equal scores would show.
    const ids = Array.from({ length: 40 }, (_, i) => `j${String.fromCharCode(122 - (i % 26))}${i}`)
    const jobs = [...ids, "last"].map((id) => ({ id, priority }))
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    const held = await task.claim(40)
    await settleAs(task, "released", [...held].reverse())
    expect(await claimAll(task)).toEqual([...ids, "last"])
  })

  test("handed back in parts and twice, jobs keep their places", async () => {
    const task = bench.task()
    await task.dispatch("a", "b", "c", "d", "e")
    const [a, b, c, d] = await task.claim(4)
    await settleAs(task, "released", [c!])
    await settleAs(task, "released", [a!, d!])
    await settleAs(task, "released", await task.claim(1))
    await settleAs(task, "released", [b!])
    expect(await claimAll(task)).toEqual(["a", "b", "c", "d", "e"])
  })

  test("recovered jobs come back to the front, in their order", async () => {
    const task = bench.task()
    await task.dispatch("z", "y", "x", "w", "last")
    await task.claim(4, 1)
    await bench.pass(3)
    await task.send(task.calls.upkeep(task.next()))
    expect(await claimAll(task)).toEqual(["z", "y", "x", "w", "last"])
  })

  test("what comes back goes before priority 0 and behind higher priorities", async () => {
    const task = bench.task()
    await task.dispatch("back", "later")
    await settleAs(task, "released", await task.claim(1))
    await task.fresh(task.calls.enqueue(task.next(), [{ id: "low", priority: 1 }]))
    expect(await claimAll(task)).toEqual(["low", "back", "later"])
  })

  test("retried jobs go to the back of their bands", async () => {
    const task = bench.task()
    const jobs = ["a", "b"].flatMap((id) => [{ id }, { id: `${id}4`, priority: 4 }])
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    await settleAs(task, "retried", (await task.claim(3)).slice(0, 3))
    expect(await claimAll(task)).toEqual(["a4", "b4", "b", "a"])
  })

  test("a job that was handed back and then retried has lost its place", async () => {
    const task = bench.task()
    await task.dispatch("a", "b")
    await settleAs(task, "released", await task.claim(1))
    await settleAs(task, "retried", await task.claim(1))
    expect(await claimAll(task)).toEqual(["b", "a"])
  })

  test("promoted jobs go to the back of their bands, in the order in which they fell due", async () => {
    const task = bench.task()
    await task.fresh(
      task.calls.enqueue(task.next(), [
        { id: "third", delay: 3 },
        { id: "first", delay: 1 },
        { id: "second", delay: 2 },
        { id: "high", delay: 3, priority: 2 },
        { id: "waits" },
        { id: "waits high", priority: 2 },
      ]),
    )
    await bench.pass(4)
    await task.send(task.calls.upkeep(task.next()))
    expect(await claimAll(task)).toEqual(["waits high", "high", "waits", "first", "second", "third"])
  })

  test("a claim takes no more than it wants, whatever waits where", async () => {
    const task = bench.task()
    const jobs = Array.from({ length: 9 }, (_, i) => ({ id: `j${i}`, priority: i % 3 === 0 ? 2 : 0 }))
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    for (const id of ["j1", "j3", "j5"]) await task.fresh(task.calls.cancel(task.next(), id))
    const seen: string[] = []
    for (const want of [1, 2, 1, 3]) {
      const call = task.calls.settle(task.next(), [], { want })
      const reply = await task.fresh(call)
      const claimed = heldOf(reply).map(({ id }) => id)
      expect(claimed.length).toBeLessThanOrEqual(want)
      seen.push(...claimed)
      if (seen.length < 6) expect(reply.more).toBe(true)
    }
    expect(seen).toEqual(["j0", "j6", "j2", "j4", "j7", "j8"])
  })

  test("more tombstones than one claim skips are passed by the next ones", async () => {
    const task = bench.task()
    const ids = Array.from({ length: 450 }, (_, i) => `t${i}`)
    await task.dispatch(...ids, "alive")
    const cancelling = [...ids]
    while (cancelling.length > 0) {
      const id = cancelling.pop()!
      await bench.store.run(...sendable(task, id))
    }
    await task.check()
    const found: string[] = []
    for (let calls = 0; calls < 4 && found.length === 0; calls++) {
      const reply = await task.fresh(task.calls.settle(task.next(), [], { want: 1 }))
      found.push(...heldOf(reply).map(({ id }) => id))
      if (found.length === 0) expect(reply.more).toBe(true)
    }
    expect(found).toEqual(["alive"])
  })

  test("two lanes that claim at once share the jobs, none twice", async () => {
    const task = bench.task()
    await task.dispatch(...Array.from({ length: 20 }, (_, i) => `j${i}`))
    const seen: Held[] = []
    for (let i = 0; i < 5; i++) {
      const calls = ["x", "y"].map((lane) => task.calls.settle(task.next(lane), [], { want: 2 }))
      const replies = await Promise.all(
        calls.map(async ({ script, keys, args }) =>
          script.reply(await bench.store.run(script.source, keys, args)),
        ),
      )
      for (const reply of replies) if (reply !== "stale") seen.push(...heldOf(reply))
      await task.check()
    }
    expect(seen.map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, i) => `j${i}`))
    expect(new Set(seen.map(({ token }) => token)).size).toBe(20)
  })

  test("two workers of equal slots that claim in turns get equal shares", async () => {
    const task = bench.task()
    await task.dispatch(...Array.from({ length: 200 }, (_, i) => `j${i}`))
    const shares = { x: 0, y: 0 }
    const held: Record<"x" | "y", Held[]> = { x: [], y: [] }
    for (let turn = 0; shares.x + shares.y < 200; turn++) {
      const lane = turn % 2 === 0 ? "x" : "y"
      const done = held[lane].map((one) => ({ ...one, kind: "completed" as const }))
      const reply = await task.fresh(task.calls.settle(task.next(lane), done, { want: 5 }))
      held[lane] = heldOf(reply)
      shares[lane] += held[lane].length
    }
    expect(shares).toEqual({ x: 100, y: 100 })
  })

  function sendable(task: TaskBench, id: string) {
    const { script, keys, args } = task.calls.cancel(task.next(), id)
    return [script.source, keys, args] as const
  }
})
