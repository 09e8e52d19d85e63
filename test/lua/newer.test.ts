import { expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import { failure } from "./calls.ts"
import { benchOf, heldOf, type TaskBench } from "./harness.ts"

onBothHosts("jobs of a newer version", (host) => {
  const bench = benchOf(host)

  /** Stores jobs "<version><letter>", such as 2a. */
  async function dispatch(task: TaskBench, jobs: string, options: { priority?: number; data?: string } = {}) {
    const list = jobs.split(" ").map((id) => ({ id, ...options, terms: id[0] === "1" ? [] : [`v ${id[0]}`] }))
    await task.fresh(task.calls.enqueue(task.next("d"), list))
  }

  async function claim(task: TaskBench, version: number, want = 10, woken = false) {
    const reply = await task.fresh(task.calls.settle(task.next(`v${version}`), [], { want, version, woken }))
    return { ids: reply.claimed.map(({ id }) => id).join(" "), more: reply.more, held: heldOf(reply) }
  }

  async function counted(task: TaskBench) {
    const { waiting, active, cancelled } = await task.fresh(task.calls.count())
    return { waiting, active, cancelled }
  }

  const markers = (task: TaskBench, version: number) =>
    task.command("ZCARD", `${task.keys.base}${version}:wake`).then(Number)
  const takeMarker = (task: TaskBench, version: number) =>
    task.command("DEL", `${task.keys.base}${version}:wake`)

  test("a worker puts them aside and claims what it takes; they still count and are listed as waiting", async () => {
    const task = bench.task()
    await dispatch(task, "2a 1b 2c 1d")
    expect((await claim(task, 1)).ids).toBe("1b 1d")
    expect(await counted(task)).toEqual({ waiting: 2, active: 2, cancelled: 0 })
    expect(await task.fresh(task.calls.list("waiting"))).toEqual(["2a", "2c"])
    expect(await task.fresh(task.calls.list("waiting", 1, 1))).toEqual(["2c"])
    expect(Number(task.state!.records.get("2a")!.created)).toBe((await task.fresh(task.calls.count())).oldest)
  })

  test("put aside, they are not found by this version again: its claims see an empty queue", async () => {
    const task = bench.task()
    await dispatch(task, "2a 2b 2c")
    const first = await claim(task, 1, 1)
    expect(first).toMatchObject({ ids: "", more: false })
    await claim(task, 1, 10)
    expect(await claim(task, 1, 10, true)).toMatchObject({ ids: "", more: false })
    expect(task.state!.wake.length === 0 || task.state!.waiting.length === 0).toBe(true)
    expect(task.state!.newer.size).toBe(3)
  })

  test("a newer worker claims them, in the order of their dispatch, before what waits", async () => {
    const task = bench.task()
    await dispatch(task, "2a 2b")
    await claim(task, 1, 1)
    await dispatch(task, "1x 2c 2d")
    expect((await claim(task, 2, 3)).ids).toBe("2a 2b 1x")
    expect((await claim(task, 2)).ids).toBe("2c 2d")
    expect(task.state!.newer.size).toBe(0)
  })

  test("each version is left to the workers that take it, the oldest first", async () => {
    const task = bench.task()
    await dispatch(task, "4d 3c 2b 1a")
    expect((await claim(task, 1)).ids).toBe("1a")
    expect((await claim(task, 2)).ids).toBe("2b")
    expect((await claim(task, 2)).ids).toBe("")
    expect((await claim(task, 4)).ids).toBe("3c 4d")
  })

  test("priorities rule on: what waits with a higher one goes first, what was put aside with one goes before", async () => {
    const task = bench.task()
    await dispatch(task, "2high", { priority: 5 })
    await dispatch(task, "2low")
    await claim(task, 1)
    await dispatch(task, "1higher 1highest", { priority: 9 })
    await dispatch(task, "1lower", { priority: 2 })
    expect((await claim(task, 2, 1)).ids).toBe("1higher")
    expect((await claim(task, 2, 2)).ids).toBe("2high 1highest")
    expect((await claim(task, 2)).ids).toBe("2low 1lower")
  })

  test("what a claim looked at and left for what was put aside stays where it was", async () => {
    const task = bench.task()
    await dispatch(task, "2a 2b 1p 1q")
    const { held } = await claim(task, 1)
    await task.fresh(
      task.calls.settle(
        task.next(),
        held.map((one) => ({ ...one, kind: "released" })),
      ),
    )
    expect((await claim(task, 2, 1)).ids).toBe("2a")
    expect(task.state!.priority.size).toBe(2)
    expect((await claim(task, 2)).ids).toBe("2b 1p 1q")
  })

  test("many of them before a job that a worker takes cost it one call", async () => {
    const task = bench.task()
    const jobs = Array.from({ length: 300 }, (_, i) => ({ id: `2j${i}`, terms: ["v 2"] }))
    await task.fresh(task.calls.enqueue(task.next("d"), [...jobs, { id: "1a" }]))
    expect((await claim(task, 1, 1)).ids).toBe("1a")
    expect((await claim(task, 2, 300)).ids).toBe(jobs.map(({ id }) => id).join(" "))
  })

  test("cancelled where it waits, it leaves nothing behind", async () => {
    const task = bench.task()
    await dispatch(task, "2a 2b")
    await claim(task, 1)
    const reply = await task.fresh(task.calls.cancel(task.next(), "2a"))
    expect(reply).toMatchObject({ word: "cancelled", state: "waiting" })
    expect(await counted(task)).toEqual({ waiting: 1, active: 0, cancelled: 1 })
    expect((await claim(task, 2)).ids).toBe("2b")
  })

  test("named, long, retried and recovered ones come through", async () => {
    const task = bench.task()
    const data = JSON.stringify("x".repeat(3000))
    await task.fresh(task.calls.enqueue(task.next("d"), [{ id: "2n", named: true, data, terms: ["v 2"] }]))
    await claim(task, 1)
    const [held] = (await claim(task, 2)).held
    const body = `0\n${failure}`
    await task.fresh(task.calls.settle(task.next(), [{ ...held!, kind: "retried", body }]))
    expect((await claim(task, 1)).ids).toBe("")
    const again = await task.fresh(task.calls.settle(task.next("v2"), [], { want: 1, version: 2, lease: 1 }))
    expect(again.claimed).toMatchObject([{ id: "2n", data }])
    await bench.pass(5)
    await task.fresh(task.calls.upkeep(task.next("u")))
    expect((await claim(task, 1)).ids).toBe("")
    expect((await claim(task, 2)).ids).toBe("2n")
    expect(task.state!.records.get("2n")).toMatchObject({ attempt: "2", stalls: "1", state: "a" })
  })

  test("a job that reuses the id of one cancelled here is another job", async () => {
    const task = bench.task()
    const job = { id: "2n", named: true, terms: ["v 2"] }
    await task.fresh(task.calls.enqueue(task.next("d"), [job]))
    await claim(task, 1)
    await task.fresh(task.calls.cancel(task.next(), "2n", '"no"', 0))
    await task.fresh(task.calls.enqueue(task.next("d"), [job]))
    expect((await claim(task, 2)).ids).toBe("2n")
    expect((await claim(task, 2)).ids).toBe("")
  })

  test("a worker of just their version is woken: when they are put aside, when a woken claim leaves some, by upkeep", async () => {
    const task = bench.task()
    await dispatch(task, "2a 2b 3c")
    await claim(task, 1)
    expect([await markers(task, 2), await markers(task, 3)]).toEqual([1, 1])
    await takeMarker(task, 2)
    await claim(task, 2, 1, true)
    expect(await markers(task, 2)).toBe(1)
    await takeMarker(task, 2)
    await task.fresh(task.calls.upkeep(task.next("u"), { version: 1 }))
    expect(await markers(task, 2)).toBe(0)
    await task.fresh(task.calls.upkeep(task.next("u"), { version: 2 }))
    expect(await markers(task, 2)).toBe(1)
    await takeMarker(task, 2)
    await claim(task, 2, 1, true)
    await claim(task, 2, 1, true)
    await task.fresh(task.calls.upkeep(task.next("u"), { version: 2 }))
    expect(await markers(task, 2)).toBe(0)
  })

  test("a claim sent again answers the same and puts nothing aside twice", async () => {
    const task = bench.task()
    await dispatch(task, "2a 1b")
    const call = task.calls.settle(task.next("v1"), [], { want: 2 })
    const [first, second] = [await task.fresh(call), await task.fresh(call)]
    expect(second).toMatchObject({ claimed: first.claimed, more: first.more })
    const newer = task.calls.settle(task.next("v2"), [], { want: 2, version: 2 })
    expect((await task.fresh(newer)).claimed.map(({ id }) => id)).toEqual(["2a"])
    expect((await task.fresh(newer)).claimed.map(({ id }) => id)).toEqual(["2a"])
    expect(task.state!.active.size).toBe(2)
  })

  test("a damaged record among them is claimed, and fails in the open", async () => {
    const task = bench.task()
    await dispatch(task, "2a 2b")
    await claim(task, 1)
    task.damaged.add("2a")
    await task.command("SET", `${task.keys.base}job:2a`, "rubbish")
    expect((await claim(task, 2)).ids).toBe("2a 2b")
    await task.command("DEL", `${task.keys.base}job:2a`)
  })

  test("an entry without a record is dropped", async () => {
    const task = bench.task()
    await dispatch(task, "2b")
    await claim(task, 1)
    await task.command("ZADD", `${task.keys.base}newer`, "0", "stray")
    expect((await claim(task, 2)).ids).toBe("2b")
    expect(task.state!.newer.size).toBe(0)
  })

  test("an entry of an earlier life is dropped, and the job claimed once", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next("d"), [{ id: "2n", named: true, terms: ["v 2"] }]))
    await claim(task, 1)
    await task.command("ZADD", `${task.keys.base}newer`, "0", "2n\t999")
    expect((await claim(task, 2)).ids).toBe("2n")
    expect(task.state!.newer.size).toBe(0)
  })

  test("versions up to a million keep their places", async () => {
    const task = bench.task()
    const jobs = [999_999, 1_000_000, 2].map((version) => ({ id: `j${version}`, terms: [`v ${version}`] }))
    await task.fresh(task.calls.enqueue(task.next("d"), jobs))
    await claim(task, 1)
    expect((await claim(task, 999_999)).ids).toBe("j2 j999999")
    expect((await claim(task, 1_000_000)).ids).toBe("j1000000")
  })
})
