import { Redis } from "ioredis"
import { expect, test } from "vitest"
import { decodeRecord } from "../../src/store/record.ts"
import { onBothHosts } from "../support/hosts.ts"
import { failure, type Item } from "./calls.ts"
import { benchOf } from "./harness.ts"
import { parseFields } from "./task-state.ts"

onBothHosts("long data", (host) => {
  const bench = benchOf(host)
  const data = JSON.stringify("ü".repeat(600))
  const long = (id: string, options: { delay?: number; priority?: number; named?: boolean } = {}) => ({
    id,
    data,
    headers: '{"h":"1"}',
    ...options,
  })

  test("lies apart from the record, and is handed out with each claim, once", async () => {
    const task = bench.task()
    await task.fresh(
      task.calls.enqueue(task.next(), [{ id: "short" }, long("long"), long("first", { priority: 1 })]),
    )
    expect(task.state!.texts.get("long")!.length).toBeLessThan(100)
    const settle = task.calls.settle(task.next("w"), [], { want: 3 })
    const reply = await task.fresh(settle)
    expect(reply.claimed.map((job) => [job.id, job.data])).toEqual([
      ["first", data],
      ["short", undefined],
      ["long", data],
    ])
    expect((await task.fresh(settle)).claimed).toEqual(reply.claimed)
    expect(decodeRecord(reply.claimed[2]!.record)).toMatchObject({ headers: '{"h":"1"}', flags: "b" })
  })

  test("stays through retries, hand-backs, recovery and promotion, and goes with the job", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [long("a", { delay: 1 })]))
    const claim = async (lease?: number) => {
      await bench.pass(3)
      await task.fresh(task.calls.upkeep(task.next("up")))
      const { claimed } = await task.fresh(
        task.calls.settle(task.next("w"), [], { want: 1, ...(lease === undefined ? {} : { lease }) }),
      )
      expect(claimed).toMatchObject([{ id: "a", data }])
      return { id: "a", token: parseFields(claimed[0]!.record)!.token }
    }
    const settle = async (item: Item, keepCompleted = 100) =>
      task.fresh(task.calls.settle(task.next("w"), [item], { keepCompleted }))
    await settle({ ...(await claim()), kind: "retried", body: `1\n${failure}` })
    await settle({ ...(await claim()), kind: "retried", body: `0\n${failure}` })
    await settle({ ...(await claim()), kind: "released" })
    await claim(1)
    await settle({ ...(await claim()), kind: "completed" }, 0)
    expect(task.state!.datas.size).toBe(0)
  })

  test("is shown where the job is fetched", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [long("a")]))
    const { record } = await task.send(task.calls.fetch("a"))
    expect(decodeRecord(record)).toMatchObject({ state: "waiting", data })
  })

  test("that was lost is said to be lost, and the job can end", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [long("a")]))
    task.damaged.add("a")
    await task.command("DEL", `${task.keys.base}data:a`)
    const { claimed } = await task.fresh(task.calls.settle(task.next("w"), [], { want: 1 }))
    expect(claimed).toMatchObject([{ id: "a", data: null }])
    const token = parseFields(claimed[0]!.record)!.token
    const { words } = await task.fresh(
      task.calls.settle(task.next("w"), [{ id: "a", token, kind: "failed" }]),
    )
    expect(words).toBe("f")
  })

  test("whose record lost its end does not shift the jobs behind it", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [long("a"), { id: "b" }]))
    task.damaged.add("a")
    await task.command("SET", `${task.keys.base}job:a`, task.state!.texts.get("a")!.slice(0, -1))
    const { claimed } = await task.fresh(task.calls.settle(task.next("w"), [], { want: 2 }))
    expect(claimed).toMatchObject([
      { id: "a", data },
      { id: "b", data: undefined },
    ])
  })

  test.runIf(host.name === "redis")("that cannot be read keeps the job where it is", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [long("a")]))
    const { script, keys, args } = task.calls.settle(task.next("w"), [], { want: 1 })
    const readable = [...keys, `${task.keys.base}job:*`].map((key) => `~${key}`)
    await task.command("ACL", "SETUSER", "dataless", "on", "nopass", "+@all", "resetkeys", ...readable)
    const redis = new Redis(host.url()!, { protocol: 2, username: "dataless", password: "any" })
    try {
      await expect(redis.eval(script.source.text, keys.length, ...keys, ...args)).rejects.toThrow(/access/)
    } finally {
      redis.disconnect()
      await task.command("ACL", "DELUSER", "dataless")
    }
    expect((await task.check()).waiting).toEqual(["a"])
  })

  test("goes with a job whose record was damaged, like all else it has", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [long("a")]))
    const [held] = await task.claim()
    await task.fresh(task.calls.progress(task.next("p"), [held!]))
    task.damaged.add("a")
    await task.command("SET", `${task.keys.base}job:a`, `a,${held!.token},`)
    await task.fresh(task.calls.settle(task.next("w"), [{ ...held!, kind: "failed" }], { keepFailed: 0 }))
    expect([task.state!.texts.size, task.state!.datas.size, task.state!.progress.size]).toEqual([0, 0, 0])
  })
})
