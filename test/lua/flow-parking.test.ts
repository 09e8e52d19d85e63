import { expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import { failure, type NewJob } from "./calls.ts"
import { benchOf, type TaskBench } from "./harness.ts"

const keyed = (id: string, more: Partial<NewJob> = {}, limit = 1, key = "K"): NewJob => ({
  id,
  terms: [`c ${limit},${key}`],
  ...more,
})
const ids = (jobs: readonly { readonly id: string }[]) => jobs.map(({ id }) => id)

onBothHosts("the scripts and concurrency keys", (host) => {
  const bench = benchOf(host)

  const dispatch = (task: TaskBench, ...jobs: NewJob[]) =>
    task.fresh(task.calls.enqueue(task.next("e"), jobs))
  const end = (task: TaskBench, held: { id: string; token: string | number }, want = 0) =>
    task.fresh(task.calls.settle(task.next("s"), [{ ...held, kind: "completed" }], { want }))
  const parked = (task: TaskBench) => task.state!.parked.map((member) => member.split("\t")[2])

  test("at most so many jobs of a key are active, and others are not held up behind them", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), keyed("b"), keyed("c"), { id: "free" }, keyed("other", {}, 1, "L"))
    const held = await task.claim(5)
    expect(ids(held)).toEqual(["a", "free", "other"])
    expect(parked(task)).toEqual(["b", "c"])
    expect(task.state!.records.get("b")).toMatchObject({ state: "k", order: "" })
  })

  test("the script that frees the slot releases the next one, first come first served", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), keyed("b"), keyed("c"))
    let [held] = await task.claim(3)
    const order = [held!.id]
    for (let i = 0; i < 2; i++) {
      const { more } = await end(task, held!, 1)
      expect(more).toBe(true)
      ;[held] = await task.claim(1)
      order.push(held!.id)
    }
    expect(order).toEqual(["a", "b", "c"])
    await end(task, held!)
    expect([task.state!.holders.size, task.state!.parked.length]).toEqual([0, 0])
  })

  test("within a key the order is that of the dispatch, within priority, whoever is parked first", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), keyed("b"), keyed("c"), keyed("d"))
    const [a] = await task.claim(1)
    // Two of them are found by a claim only after a later one was parked as it was dispatched.
    await dispatch(task, keyed("e"), keyed("urgent", { priority: 5 }))
    await task.claim(1)
    expect(parked(task)).toEqual(["urgent", "b", "c", "d", "e"])
    const order: string[] = []
    for (let held = a; held; ) {
      await end(task, held)
      ;[held] = await task.claim(1)
      if (held) order.push(held.id)
    }
    expect(order).toEqual(["urgent", "b", "c", "d", "e"])
  })

  test("a dispatch whose key is full, or has parked jobs, is parked at once; one that is delayed, as it is claimed", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"))
    await task.claim(1)
    await dispatch(task, keyed("b"), keyed("late", { delay: 20 }), keyed("other", {}, 1, "L"))
    expect(parked(task)).toEqual(["b"])
    expect(task.state!.waiting).toEqual(["other"])
    await bench.pass(25)
    await task.fresh(task.calls.upkeep(task.next("u")))
    await task.claim(2)
    expect(parked(task)).toEqual(["b", "late"])
  })

  test.each(["completed", "failed", "cancelled", "retried"] as const)(
    "a run that is %s gives its slot to the next",
    async (kind) => {
      const task = bench.task()
      await dispatch(task, keyed("a"), keyed("b"))
      const [a] = await task.claim(2)
      const body = kind === "retried" ? { body: `600000\n${failure}` } : {}
      await task.fresh(task.calls.settle(task.next("s"), [{ ...a!, kind, ...body }]))
      expect(ids(await task.claim(2))).toEqual(["b"])
    },
  )

  test("a run that is handed back, or recovered, keeps its slot at the front", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), keyed("b"))
    const [first] = await task.claim(2)
    await task.fresh(task.calls.settle(task.next("s"), [{ ...first!, kind: "released" }]))
    expect(parked(task)).toEqual(["b"])
    const [again] = await task.claim(2, 5)
    expect(again!.id).toBe("a")
    await bench.pass(7)
    await task.fresh(task.calls.upkeep(task.next("u")))
    expect(task.state!.holders.get("K")).toEqual(["\ta"])
    expect(ids(await task.claim(2))).toEqual(["a"])
  })

  test("a crashed holder's slot is free as its job fails in recovery, or is cancelled there", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), keyed("b"), keyed("c"))
    await task.claim(1, 5)
    await task.claim(1)
    await bench.pass(7)
    await task.fresh(task.calls.upkeep(task.next("u"), { stalls: 0 }))
    const [b] = await task.claim(1, 5)
    expect(b!.id).toBe("b")
    await task.fresh(task.calls.cancel(task.next("c"), "b"))
    await bench.pass(7)
    await task.fresh(task.calls.upkeep(task.next("u")))
    expect(ids(await task.claim(1))).toEqual(["c"])
  })

  test("a job that waits with a slot kept for it gives it up as it is cancelled or expires", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), keyed("b"), { ...keyed("c"), terms: ["t 600,0", "c 1,K"] }, keyed("d"))
    const [a] = await task.claim(1)
    await task.claim(1)
    await end(task, a!)
    expect(task.state!.holders.get("K")).toEqual(["\tb"])
    await task.fresh(task.calls.cancel(task.next("c"), "b"))
    expect(task.state!.holders.get("K")).toEqual(["\tc"])
    await bench.pass(601)
    await task.fresh(task.calls.upkeep(task.next("u")))
    expect(task.state!.holders.get("K")).toEqual(["\td"])
  })

  test("a parked job is cancelled as a waiting one, and expires", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), keyed("b"), { ...keyed("c"), terms: ["t 500,0", "c 1,K"] })
    await task.claim(3)
    const reply = await task.fresh(task.calls.cancel(task.next("c"), "b"))
    expect(reply).toMatchObject({ word: "cancelled", state: "waiting" })
    await bench.pass(501)
    const { tasks } = await task.fresh(task.calls.upkeep(task.next("u")))
    expect(tasks[0]).toMatchObject({ expired: [{ id: "c" }] })
    expect([task.state!.parked.length, task.state!.stats.get("cancelled_waiting")]).toEqual([0, "1"])
  })

  test("a key's limit may be more than one", async () => {
    const task = bench.task()
    await dispatch(task, ...["a", "b", "c", "d", "e"].map((id) => keyed(id, {}, 2)))
    const held = await task.claim(5)
    expect(ids(held)).toEqual(["a", "b"])
    const items = held.map((one) => ({ ...one, kind: "completed" as const }))
    await task.fresh(task.calls.settle(task.next("s"), items))
    expect(ids(await task.claim(5))).toEqual(["c", "d"])
  })

  test("jobs with limits of their own: each starts as it allows", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a", {}, 3), keyed("b", {}, 3), keyed("alone", {}, 1), keyed("d", {}, 3))
    const held = await task.claim(4)
    expect(ids(held)).toEqual(["a", "b"])
    await end(task, held[0]!)
    expect(ids(await task.claim(4))).toEqual([])
    await end(task, held[1]!)
    expect(ids(await task.claim(4))).toEqual(["alone"])
  })

  test("ten thousand jobs of a blocked key in front: the free job starts after few calls, each of bounded work", async () => {
    const task = bench.task()
    const quiet = async (call: Parameters<TaskBench["send"]>[0]) =>
      call.script.reply(await bench.store.run(call.script.source, call.keys, call.args))
    for (let i = 0; i < 20; i++) {
      const jobs = Array.from({ length: 500 }, (_, k) => keyed(`j${i * 500 + k}`))
      await quiet(task.calls.enqueue(task.next("e"), jobs))
    }
    await quiet(task.calls.enqueue(task.next("e"), [{ id: "free" }]))
    const started: string[] = []
    const looked: number[] = []
    let calls = 0
    for (let more = true; more && calls < 100; calls++) {
      const before = Number(await task.command("ZCARD", `${task.keys.base}parked`))
      const reply = (await quiet(task.calls.settle(task.next("w"), [], { want: 2 }))) as {
        claimed: { id: string }[]
        more: boolean
      }
      looked.push(Number(await task.command("ZCARD", `${task.keys.base}parked`)) - before)
      started.push(...ids(reply.claimed))
      more = reply.more
    }
    expect(started).toEqual(["j0", "free"])
    expect(Math.max(...looked)).toBeLessThanOrEqual(500)
    expect(calls).toBeLessThanOrEqual(30)
    // From here on nobody looks at them: one that is dispatched stands alone in the list.
    await quiet(task.calls.enqueue(task.next("e"), [{ id: "next" }]))
    const { claimed } = (await quiet(task.calls.settle(task.next("w"), [], { want: 1 }))) as {
      claimed: { id: string }[]
    }
    expect(ids(claimed)).toEqual(["next"])
  })

  test("what is left of a holder that nobody knows is dropped as the key looks full", async () => {
    const task = bench.task()
    const holders = `${task.keys.base}holders:K`
    await dispatch(task, keyed("a", {}, 2))
    await task.command("ZADD", holders, "1", "ghost\t1", "2", "\tnobody")
    expect(ids(await task.claim(1))).toEqual(["a"])
    expect(await task.command("ZRANGE", holders, "0", "-1")).toEqual(["a\t1"])
  })

  test("upkeep releases what waits for nobody", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), keyed("b"))
    await task.claim(1)
    await task.claim(1)
    // As after the loss of a record and its lease.
    await task.command("DEL", `${task.keys.base}job:a`, `${task.keys.base}active`)
    await task.send(task.calls.upkeep(task.next("u"))).catch(() => undefined)
    expect(await task.command("ZRANGE", `${task.keys.base}holders:K`, "0", "-1")).toEqual(["\tb"])
  })

  test("a job that is parked before its slot becomes free in the same call is released by that call", async () => {
    const task = bench.task()
    await dispatch(task, keyed("a"), { id: "b", terms: ["c 1,K", "v 2"] }, { id: "plain" })
    const [a] = await task.claim(1)
    await dispatch(task, { id: "c", terms: ["t 300,0", "c 1,K"] })
    await end(task, a!, 1)
    expect(task.state!.holders.get("K")).toEqual(["\tc"])
    await bench.pass(301)
    // It finds b, whose slot c still has, and then that c has expired.
    const call = task.calls.settle(task.next("w"), [], { want: 10, version: 2 })
    expect(ids((await task.fresh(call)).claimed)).toEqual([])
    expect(ids(await task.claim(1))).toEqual([])
    const next = task.calls.settle(task.next("w"), [], { want: 10, version: 2 })
    expect(ids((await task.fresh(next)).claimed)).toEqual(["b"])
  })

  test("counts and lists show parked jobs", async () => {
    const task = bench.task()
    await dispatch(
      task,
      keyed("a"),
      keyed("b"),
      keyed("c", { named: true }),
      keyed("z", {}, 1, "A"),
      keyed("y", {}, 1, "A"),
    )
    await task.claim(5)
    expect(await task.fresh(task.calls.count())).toMatchObject({
      waiting: 0,
      active: 2,
      parked: 3,
      paused: false,
    })
    expect(await task.fresh(task.calls.list("parked"))).toEqual(["y", "b", "c"])
    expect(await task.fresh(task.calls.list("parked", 1, 1))).toEqual(["b"])
  })
})
