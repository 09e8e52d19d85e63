import { expect, test } from "vitest"
import { decodeRecord } from "../../src/store/record.ts"
import type { TaskUpkeep } from "../../src/store/upkeep-reply.ts"
import { onBothHosts } from "../support/hosts.ts"
import { failure } from "./calls.ts"
import { benchOf } from "./harness.ts"

const ttl = (ms: number, discard = false) => [`t ${ms},${discard ? 1 : 0}`]

onBothHosts("the scripts and ttl", (host) => {
  const bench = benchOf(host)

  test("upkeep expires a job at its time, and not before, wherever it waits", async () => {
    const task = bench.task()
    const jobs = [
      { id: "listed", terms: ttl(400) },
      { id: "ranked", priority: 3, terms: ttl(400) },
      { id: "delayed", delay: 30_000, terms: ttl(400) },
      { id: "named", named: true, terms: ttl(400) },
      { id: "longer", terms: ttl(600_000) },
      { id: "plain" },
    ]
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    const early = await task.fresh(task.calls.upkeep(task.next("u")))
    expect(early.tasks[0]).toMatchObject({ expired: [] })
    await bench.pass(401)
    const { tasks } = await task.fresh(task.calls.upkeep(task.next("u")))
    const [done] = tasks as readonly TaskUpkeep[]
    expect(done!.expired.map(({ id }) => id).sort()).toEqual(["delayed", "listed", "named", "ranked"])
    expect(task.state!.records.get("listed")).toMatchObject({ state: "e" })
    expect(task.state!.expired.length).toBe(4)
    expect(done!.due).toBe(task.state!.expiring.get("longer"))
    expect(task.ledger.events.filter(({ name }) => name === "expired").map(({ fields }) => fields)).toEqual(
      Array(4).fill({ attempt: 0 }),
    )
    const { claimed } = await task.fresh(task.calls.settle(task.next("w"), [], { want: 10 }))
    expect(claimed.map(({ id }) => id)).toEqual(["longer", "plain"])
  })

  test("a claim expires what it comes across, and says so again when it is asked again", async () => {
    const task = bench.task()
    const jobs = [{ id: "late", terms: ttl(1) }, { id: "ranked", priority: 2, terms: ttl(1) }, { id: "next" }]
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    await bench.pass(3)
    const call = task.calls.settle(task.next("w"), [], { want: 1 })
    const first = await task.fresh(call)
    expect(first.expired.map(({ id }) => id)).toEqual(["ranked", "late"])
    expect(decodeRecord(first.expired[0]!.record)).toMatchObject({
      state: "waiting",
      priority: 2,
      flags: "k",
    })
    expect(first.claimed.map(({ id }) => id)).toEqual(["next"])
    expect(await task.fresh(call)).toEqual({ ...first, at: expect.any(Number) })
    expect(task.state!.stats.get("expired")).toBe("2")
  })

  test("a job that was started in time runs on, however long", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [{ id: "a", terms: ttl(300) }]))
    const [held] = await task.claim()
    await bench.pass(301)
    await task.fresh(task.calls.upkeep(task.next("u")))
    const { words } = await task.fresh(task.calls.settle(task.next("w"), [{ ...held!, kind: "completed" }]))
    expect(words).toBe("c")
  })

  test("a job in backoff before a retry expires too, with its attempts told", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [{ id: "a", terms: ttl(500) }]))
    const [held] = await task.claim()
    const retry = { ...held!, kind: "retried", body: `600000\n${failure}` } as const
    await task.fresh(task.calls.settle(task.next("w"), [retry]))
    await bench.pass(501)
    await task.fresh(task.calls.upkeep(task.next("u")))
    expect(task.state!.records.get("a")).toMatchObject({ state: "e", attempt: "1", fails: "1" })
    expect(task.ledger.of("a").at(-1)).toMatchObject({ name: "expired", fields: { attempt: 1 } })
  })

  test("a job that comes back from a stall, or is handed back, expires as before", async () => {
    const task = bench.task()
    const jobs = [
      { id: "a", terms: ttl(500) },
      { id: "b", terms: ttl(500) },
    ]
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    const [a, b] = await task.claim(2, 100)
    await task.fresh(task.calls.settle(task.next("w"), [{ ...b!, kind: "released" }]))
    await bench.pass(501)
    const first = await task.fresh(task.calls.upkeep(task.next("u")))
    expect(first.tasks[0]).toMatchObject({
      stalled: [{ id: a!.id, action: "recovered" }],
      expired: [{ id: "b" }],
    })
    const { tasks } = await task.fresh(task.calls.upkeep(task.next("u")))
    expect(tasks[0]).toMatchObject({ expired: [{ id: "a" }] })
  })

  test("a discarded job leaves no trace but the counter", async () => {
    const task = bench.task()
    await task.fresh(
      task.calls.enqueue(task.next(), [{ id: "a", data: `"${"x".repeat(2000)}"`, terms: ttl(1, true) }]),
    )
    await bench.pass(3)
    const { tasks } = await task.fresh(task.calls.upkeep(task.next("u")))
    expect(tasks[0]).toMatchObject({ expired: [{ id: "a" }] })
    const { records, expired, stats, datas } = task.state!
    expect([records.size, expired.length, datas.size, task.ledger.events.length]).toEqual([0, 0, 0, 0])
    expect([stats.get("discarded"), stats.get("expired")]).toEqual(["1", undefined])
  })

  test("expired jobs are kept as failed ones are: so many, and so long", async () => {
    const task = bench.task()
    const jobs = ["a", "b", "c"].map((id) => ({ id, terms: ttl(1) }))
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    await bench.pass(3)
    await task.fresh(task.calls.upkeep(task.next("u"), { keepFailed: 2 }))
    expect(task.state!.expired.length).toBe(2)
    await bench.pass(10)
    await task.fresh(task.calls.upkeep(task.next("u"), { ageFailed: 5 }))
    expect([task.state!.expired.length, task.state!.records.size]).toEqual([0, 0])
  })

  test("a cancelled job expires no more, and a cancel of an expired one is answered `finished`", async () => {
    const task = bench.task()
    const jobs = [
      { id: "a", terms: ttl(1) },
      { id: "b", terms: ttl(1) },
    ]
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    await task.fresh(task.calls.cancel(task.next("c"), "a"))
    await bench.pass(3)
    const { tasks } = await task.fresh(task.calls.upkeep(task.next("u")))
    expect(tasks[0]).toMatchObject({ expired: [{ id: "b" }] })
    expect(await task.fresh(task.calls.cancel(task.next("c"), "b"))).toMatchObject({
      word: "finished",
      state: "",
    })
  })

  test("a thousand that expire at once are expired by a bounded number of jobs a call", async () => {
    const task = bench.task()
    for (let i = 0; i < 2; i++) {
      const jobs = Array.from({ length: 250 }, (_, k) => ({ id: `j${i}-${k}`, terms: ttl(1) }))
      await task.fresh(task.calls.enqueue(task.next(), jobs))
    }
    await bench.pass(3)
    const sizes: number[] = []
    for (let more = true; more; ) {
      const { tasks } = await task.fresh(task.calls.upkeep(task.next("u")))
      const [done] = tasks as readonly TaskUpkeep[]
      sizes.push(done!.expired.length)
      more = done!.more
    }
    expect(Math.max(...sizes)).toBe(100)
    expect(task.state!.stats.get("expired")).toBe("500")
  })
})
