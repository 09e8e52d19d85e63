import { expect, test } from "vitest"
import { scripts } from "../../src/store/scripts.ts"
import type { TaskUpkeep } from "../../src/store/upkeep-reply.ts"
import { onBothHosts } from "../support/hosts.ts"
import type { Call, UpkeepOptions } from "./calls.ts"
import { type Bench, benchOf, type TaskBench } from "./harness.ts"

onBothHosts("how much one call of upkeep does", (host) => {
  const bench = benchOf(host)

  test("one spoilt job stops neither the upkeep nor the claim of the others", async () => {
    const task = bench.task()
    await task.dispatch("spoilt", "well")
    const at = task.next("w")
    const claim = task.calls.settle(at, [], { want: 2, lease: 5 })
    await task.fresh(claim)
    await task.command("DEL", `${task.keys.base}job:spoilt`)
    await task.command("HSET", `${task.keys.base}job:spoilt`, "not", "a record")
    const run = async <T>({ script, keys, args }: Call<T>) =>
      script.reply(await bench.store.run(script.source, keys, args))
    expect(await run(claim)).toMatchObject({ claimed: [{ record: "" }, { id: "well" }] })
    await bench.pass(10)
    await run(task.calls.upkeep(task.next("up")))
    expect(await task.command("ZRANGE", task.keys.active, "0", "-1")).toEqual([])
    expect(await task.command("ZRANGE", task.keys.priority, "0", "-1")).toEqual(["well"])
  })

  // The embedded engine cannot rename, and nobody else can spoil its keys.
  test.runIf(host.name === "redis")(
    "a stream of a wrong type refuses it whole; what it would have recovered is recovered when that is mended",
    async () => {
      const task = bench.task()
      await task.dispatch("lost")
      await task.fresh(task.calls.settle(task.next("w"), [], { want: 1, lease: 5 }))
      await bench.pass(10)
      const { events } = task.keys
      const before = await task.check()
      await task.command("RENAME", events, `${events}-aside`)
      await task.command("SET", events, "spoilt")
      const { script, keys, args } = task.calls.upkeep(task.next("up"))
      await expect(bench.store.run(script.source, keys, args)).rejects.toThrow(/WRONGTYPE/)
      await task.command("DEL", events)
      await task.command("RENAME", `${events}-aside`, events)
      expect(await task.check()).toEqual(before)
      const kept = await task.fresh(task.calls.upkeep(task.next("up")))
      expect(kept.tasks).toMatchObject([{ stalled: [{ id: "lost", action: "recovered" }] }])
    },
  )

  test("500 jobs over all its tasks, which share them", async () => {
    const tasks = await dueTasks(bench, 3, 300)
    const promoted = await untilDone(bench, tasks)
    expect(promoted.slice(0, 2)).toEqual([
      [166, 167, 167],
      [134, 133, 133],
    ])
  })

  test("what a task leaves of its share is the next one's", async () => {
    const tasks = [...(await dueTasks(bench, 1, 200)), bench.task(), bench.task()]
    const kept = await keep(bench, tasks, 1)
    expect(kept.map(({ promoted, more }) => [promoted, more])).toEqual([
      [200, false],
      [0, false],
      [0, false],
    ])
  })

  test("recoveries, promotions and trimmed jobs count alike", async () => {
    const tasks = [bench.task(), bench.task(), bench.task(), bench.task(), bench.task()]
    for (const task of tasks) {
      await task.dispatch(...ids("c", 120))
      const done = (await task.claim(120)).map((one) => ({ ...one, kind: "completed" as const }))
      await task.fresh(task.calls.settle(task.next(), done, { keepCompleted: 1000 }))
      await task.dispatch(...ids("a", 60))
      await task.claim(60, 1)
      await task.fresh(
        task.calls.enqueue(
          task.next(),
          ids("d", 60).map((id) => ({ id, delay: 1 })),
        ),
      )
    }
    await bench.pass(3)
    const standing = async () => {
      let jobs = 0
      for (const task of tasks) {
        const { active, delayed, completed } = await task.check()
        jobs += active.size + delayed.size + completed.length
      }
      return jobs
    }
    let before = await standing()
    expect(before).toBe(1200)
    for (let n = 1, more = true; more; n++) {
      more = (await keep(bench, tasks, n, { ageCompleted: 1 })).some((kept) => kept.more)
      const after = await standing()
      expect(before - after).toBeLessThanOrEqual(500)
      if (more) expect(before - after).toBeGreaterThan(0)
      before = after
    }
    expect(before).toBe(0)
  })

  test("1 MiB of records, and one job however long it is; each task has its turn", async () => {
    const long = JSON.stringify({ h: "x".repeat(600_000) })
    const tasks = await dueTasks(bench, 3, 3, long)
    expect(await untilDone(bench, tasks)).toEqual([
      [0, 2, 0],
      [0, 0, 2],
      [2, 0, 0],
      [0, 1, 1],
      [1, 0, 0],
    ])
  })

  test("1 MiB of the records of lost runs", async () => {
    const task = bench.task()
    const headers = JSON.stringify({ h: "x".repeat(600_000) })
    await task.fresh(
      task.calls.enqueue(
        task.next(),
        ids("a", 3).map((id) => ({ id, headers })),
      ),
    )
    await task.claim(3, 1)
    await bench.pass(3)
    const first = await keep(bench, [task], 1)
    expect(first).toMatchObject([{ more: true, stalled: [{ id: "a0" }, { id: "a1" }] }])
    expect(await keep(bench, [task], 2)).toMatchObject([{ more: false, stalled: [{ id: "a2" }] }])
  })

  test("a task that was not reached is answered alike when the call comes again", async () => {
    const tasks = await dueTasks(bench, 2, 2, JSON.stringify({ h: "x".repeat(1_100_000) }))
    const first = await keep(bench, tasks, 2)
    expect(first).toMatchObject([
      { promoted: 1, more: true },
      { promoted: 0, more: true, due: 0 },
    ])
    expect(await keep(bench, tasks, 2)).toEqual(first)
    expect((await tasks[1]!.check()).delayed.size).toBe(2)
  })

  test("unused lanes are forgotten, however many there are", async () => {
    const task = bench.task()
    await task.dispatch("a")
    const old = ids("lane:old", 10_000).flatMap((field) => [field, "1 1000\nanswer"])
    await task.command("HSET", task.keys.stats, ...old)
    const lanes = async () => {
      await task.fresh(task.calls.upkeep(task.next("keeper")))
      return [...task.state!.stats.keys()].filter((name) => name.startsWith("lane:"))
    }
    let left = await lanes()
    for (let calls = 1; calls < 20 && left.length > 2; calls++) left = await lanes()
    expect(left.sort()).toEqual(["lane:dispatcher", "lane:keeper"])
    expect(task.state!.stats.has("sweeping")).toBe(false)
    expect(task.state!.stats.has("swept")).toBe(true)
  })
})

function ids(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${letter}${i}`)
}

/** Tasks with so many delayed jobs each, all of them due. */
async function dueTasks(bench: Bench, count: number, jobs: number, headers = ""): Promise<TaskBench[]> {
  const tasks = Array.from({ length: count }, () => bench.task())
  const delayed = ids("d", jobs).map((id) => ({ id, delay: 1, headers }))
  for (const task of tasks) await task.fresh(task.calls.enqueue(task.next(), delayed))
  await bench.pass(3)
  return tasks
}

/** One call for all the tasks. */
async function keep(
  bench: Bench,
  tasks: readonly TaskBench[],
  n: number,
  options?: UpkeepOptions,
): Promise<TaskUpkeep[]> {
  const calls = tasks.map((task) => task.calls.upkeep({ lane: "keeper", n }, options))
  const keys = calls.flatMap((call) => call.keys)
  const args = calls.flatMap((call) => call.args)
  const reply = scripts.upkeep.reply(await bench.store.run(scripts.upkeep.source, keys, args))
  for (const task of tasks) await task.check()
  return reply.tasks as TaskUpkeep[]
}

/** Calls as long as there is more to do; returns how many jobs each call promoted of each task. */
async function untilDone(bench: Bench, tasks: readonly TaskBench[]): Promise<number[][]> {
  const promoted: number[][] = []
  for (let more = true; more && promoted.length < 20; ) {
    const kept = await keep(bench, tasks, promoted.length + 1)
    promoted.push(kept.map((task) => task.promoted))
    more = kept.some((task) => task.more)
  }
  return promoted
}
