import { expect, test } from "vitest"
import { Observers } from "../../src/model/observers.ts"
import { Lane } from "../../src/store/lane.ts"
import { Link } from "../../src/store/link.ts"
import { scripts } from "../../src/store/scripts.ts"
import { type Adapter, type Store, StoreError } from "../../src/store/store.ts"
import { onBothHosts } from "../support/hosts.ts"
import { bodyOf, type Call, type Held, type Receipt } from "./calls.ts"
import { type Bench, benchOf, heldOf, type TaskBench } from "./harness.ts"

/** Makes a writing call under the given receipt; what it needs has been arranged before. */
type Writer = (at: Receipt) => Call

/** Every writing script, in each way that writes something of its own. */
const writers: Record<string, (task: TaskBench, bench: Bench) => Promise<Writer>> = {
  "enqueue plain":
    async ({ calls }) =>
    (at) =>
      calls.enqueue(at, [{ id: `p${at.n}` }, { id: `q${at.n}` }]),
  "enqueue of every sort":
    async ({ calls }) =>
    (at) =>
      calls.enqueue(at, [
        { id: `n${at.n}`, named: true },
        { id: `d${at.n}`, delay: 50 },
        { id: `r${at.n}`, priority: 2 },
      ]),
  "launch, leased":
    async ({ calls }) =>
    (at) =>
      calls.launch(at, { id: `l${at.n}` }),
  "launch, where jobs wait": async (task) => {
    await task.dispatch("a")
    return (at) => task.calls.launch(at, { id: `l${at.n}` })
  },
  "settle: claim": async (task) => {
    await task.dispatch("a", "b", "c", "d", "e")
    return (at) => task.calls.settle(at, [], { want: 2 })
  },
  ...Object.fromEntries(
    (["completed", "failed", "retried", "cancelled", "released"] as const).map((kind) => [
      `settle: ${kind}, then claim`,
      async (task: TaskBench): Promise<Writer> => {
        await task.dispatch("a", "b", "c", "d", "e", "f")
        const held = await task.claim(4)
        return (at) =>
          task.calls.settle(
            at,
            held.slice(2 * (at.n - 1), 2 * at.n).map((one) => ({ ...one, kind, body: bodyOf(kind) })),
            { want: 1 },
          )
      },
    ]),
  ),
  "settle: completed, none kept": async (task) => {
    await task.dispatch("a", "b")
    const held = await task.claim(2)
    return (at) => task.calls.settle(at, [{ ...held[at.n - 1]!, kind: "completed" }], { keepCompleted: 0 })
  },
  "settle: a cancel request": async (task) => {
    await task.dispatch("a", "b")
    const held = await task.claim(2)
    for (const { id } of held) await task.fresh(task.calls.cancel(task.next("canceller"), id))
    return (at) => task.calls.settle(at, [{ ...held[at.n - 1]!, kind: "completed" }], { want: 1 })
  },
  renew: async (task) => {
    await task.dispatch("a", "b")
    const held = await task.claim(2)
    return (at) => task.calls.renew(at, held, 5000 + at.n)
  },
  progress: async (task) => {
    await task.dispatch("a", "b")
    const held = await task.claim(2)
    return (at) =>
      task.calls.progress(
        at,
        held.map((one) => ({ ...one, value: `${at.n}` })),
      )
  },
  log: async (task) => {
    await task.dispatch("a")
    const [held] = await task.claim(1)
    return (at) => task.calls.log(at, held!, [`"line ${at.n}"`])
  },
  "cancel: waiting": async (task) => {
    await task.dispatch("j1", "j2", "j3")
    return (at) => task.calls.cancel(at, `j${at.n}`)
  },
  "cancel: delayed": async (task) => {
    await task.fresh(
      task.calls.enqueue(
        task.next(),
        [1, 2].map((n) => ({ id: `j${n}`, delay: 60_000 })),
      ),
    )
    return (at) => task.calls.cancel(at, `j${at.n}`)
  },
  "cancel: active": async (task) => {
    await task.dispatch("j1", "j2")
    await task.claim(2)
    return (at) => task.calls.cancel(at, `j${at.n}`)
  },
  "upkeep: recover": async (task, bench) => {
    await task.dispatch("a", "b", "c")
    await task.claim(3, 1)
    await bench.pass(3)
    return (at) => task.calls.upkeep(at)
  },
  "upkeep: promote": async (task, bench) => {
    await task.fresh(
      task.calls.enqueue(task.next(), [
        { id: "a", delay: 1 },
        { id: "b", delay: 1 },
      ]),
    )
    await bench.pass(3)
    return (at) => task.calls.upkeep(at)
  },
  "upkeep: trim": async (task, bench) => {
    await task.dispatch("a", "b")
    const held = await task.claim(2)
    await task.fresh(
      task.calls.settle(
        task.next(),
        held.map((one) => ({ ...one, kind: "completed" })),
      ),
    )
    await bench.pass(3)
    return (at) => task.calls.upkeep(at, { ageCompleted: 1 })
  },
}

onBothHosts("receipts", (host) => {
  const bench = benchOf(host)

  test.each(Object.entries(writers))(
    "%s: sent twice, it has one effect and one answer",
    async (_name, prepare) => {
      const task = bench.task()
      const make = await prepare(task, bench)
      const call = make({ lane: "w", n: 1 })
      const before = task.state
      const first = await task.send(call)
      const once = task.state
      expect(once).not.toEqual(before)
      for (let again = 0; again < 2; again++) {
        expect(timeless(await task.send(call))).toEqual(timeless(first))
        expect(task.state).toEqual(once)
      }
    },
  )

  test.each(Object.entries(writers))(
    "%s: sent late, after its successor, it is stale",
    async (_name, prepare) => {
      const task = bench.task()
      const make = await prepare(task, bench)
      const [first, second] = [make({ lane: "w", n: 1 }), make({ lane: "w", n: 2 })]
      await task.send(first)
      const answer = await task.send(second)
      const then = task.state
      expect(isStale(await task.send(first))).toBe(true)
      expect(task.state).toEqual(then)
      expect(timeless(await task.send(second))).toEqual(timeless(answer))
      expect(task.state).toEqual(then)
    },
  )

  test.each(Object.entries(writers))(
    "%s: overtaken before it arrived, it does nothing",
    async (_name, prepare) => {
      const task = bench.task()
      const make = await prepare(task, bench)
      await task.send(make({ lane: "w", n: 2 }))
      const then = task.state
      expect(isStale(await task.send(make({ lane: "w", n: 1 })))).toBe(true)
      expect(task.state).toEqual(then)
    },
  )

  test.each(Object.entries(writers))(
    "%s: a resent call arrives late, before its successor",
    async (_name, prepare) => {
      const task = bench.task()
      const make = await prepare(task, bench)
      await task.send(make({ lane: "w", n: 1 }))
      await task.send(make({ lane: "w", n: 1 }))
      const then = task.state
      expect(isStale(await task.send(make({ lane: "w", n: 2 })))).toBe(false)
      expect(task.state).not.toEqual(then)
    },
  )

  test("numbers of one lane mean nothing to another", async () => {
    const task = bench.task()
    await task.send(task.calls.enqueue({ lane: "x", n: 7 }, [{ id: "a" }]))
    expect(await task.fresh(task.calls.enqueue({ lane: "y", n: 1 }, [{ id: "b" }]))).toMatchObject({
      words: "s",
    })
    expect(await task.send(task.calls.enqueue({ lane: "x", n: 6 }, [{ id: "c" }]))).toBe("stale")
  })

  test("a claim that is sent again grants the same jobs under the same tokens", async () => {
    const task = bench.task()
    await task.dispatch("a", "b", "c", "d")
    const claim = task.calls.settle({ lane: "w", n: 1 }, [], { want: 3 })
    const first = await task.fresh(claim)
    expect((await task.fresh(claim)).claimed).toEqual(first.claimed)
    expect(heldOf(first).map(({ id }) => id)).toEqual(["a", "b", "c"])
  })

  test("a claim that is sent again says what is no longer held", async () => {
    const task = bench.task()
    await task.dispatch("a", "b", "c")
    const claim = task.calls.settle({ lane: "w", n: 1 }, [], { want: 3 })
    const [a, b, c] = heldOf(await task.fresh(claim)) as [Held, Held, Held]
    await task.fresh(task.calls.settle(task.next("other"), [{ ...b, kind: "released" }]))
    const again = heldOf(await task.fresh(task.calls.settle(task.next("other"), [], { want: 1 })))
    expect(again).toMatchObject([{ id: "b" }])
    const repeated = await task.fresh(claim)
    expect(heldOf(repeated)).toEqual([a, c])
    expect(repeated.claimed[1]).toMatchObject({ id: "b", record: "" })
  })

  test("a settlement that arrives late claims no job that nobody would hold", async () => {
    const task = bench.task()
    await task.dispatch("a", "b", "c")
    const [a] = await task.claim(1)
    const original = task.calls.settle({ lane: "w", n: 1 }, [{ ...a!, kind: "completed" }], { want: 1 })
    const [b] = heldOf(await task.fresh(original))
    await task.fresh(task.calls.settle({ lane: "w", n: 2 }, [{ ...b!, kind: "completed" }]))
    expect(await task.send(original)).toBe("stale")
    expect(task.state!.active.size).toBe(0)
    expect(task.state!.waiting).toEqual(["c"])
  })

  test("the receipt of a dispatch outlives a job that is not kept", async () => {
    const task = bench.task()
    const dispatch = task.calls.enqueue({ lane: "w", n: 1 }, [{ id: "once", named: true }])
    await task.fresh(dispatch)
    const [held] = await task.claim(1)
    await task.fresh(task.calls.settle(task.next(), [{ ...held!, kind: "completed" }], { keepCompleted: 0 }))
    expect(task.state!.records.size).toBe(0)
    expect(await task.send(dispatch)).toMatchObject({ words: "s" })
    expect(task.state!.records.size).toBe(0)
    expect(task.state!.stats.get("dispatched")).toBe("1")
  })

  test("an unused lane is forgotten after an hour, and no earlier", async () => {
    if (host.name === "redis") return
    const task = bench.task()
    await task.dispatch("a")
    const lanes = () => [...task.state!.stats.keys()].filter((name) => name.startsWith("lane:"))
    await bench.pass(3_600_000)
    await task.send(task.calls.upkeep(task.next("keeper")))
    expect(lanes()).toContain("lane:dispatcher")
    await bench.pass(600_001)
    await task.send(task.calls.upkeep(task.next("keeper")))
    expect(lanes()).toEqual(["lane:keeper"])
  })

  test.each(["request lost", "reply lost"] as const)(
    "Lane: %s, it sends the same call again",
    async (fault) => {
      const task = bench.task()
      let faults = 3
      const adapter = faulty(bench.store, async (run) => {
        if (faults-- <= 0) return run()
        if (fault === "reply lost") await run()
        throw new StoreError("cut", "unanswered")
      })
      const observers = new Observers([], () => {})
      const listeners = { lost() {}, back() {}, message() {} }
      const lane = new Lane(new Link(adapter, { observers, listeners }), "d")
      task.lives.set("a", 1)
      const reply = await lane.call(scripts.enqueue, task.keys, {}, ["a", "0,0,1", "\nnull"])
      expect(reply.words).toBe("s")
      const state = await task.check()
      expect(state.stats.get("dispatched")).toBe("1")
      expect(state.waiting.length).toBe(1)
    },
  )

  test.each(["request lost", "reply lost"] as const)(
    "Lane: %s, a batch of 100 settlements and 100 claims is sent again: nothing twice, nothing orphaned",
    async (fault) => {
      const task = bench.task()
      const names = Array.from({ length: 200 }, (_, i) => `j${i}`)
      await task.dispatch(...names)
      const held = await task.claim(100)
      let faults = 2
      const adapter = faulty(bench.store, async (run) => {
        if (faults-- <= 0) return run()
        if (fault === "reply lost") await run()
        throw new StoreError("cut", "unanswered")
      })
      const link = new Link(adapter, {
        observers: new Observers([], () => {}),
        listeners: { lost() {}, back() {}, message() {} },
      })
      const { args } = task.calls.settle({ lane: "", n: 0 }, [], { want: 100 })
      const named = Object.fromEntries(scripts.settle.args.map((name, i) => [name, args[i]]))
      const reply = await new Lane(link, "s0").call(
        scripts.settle,
        task.keys,
        named as never,
        held.flatMap(({ id, token }) => [id, token, "completed", 7, "", ""]),
      )
      expect(reply.words).toBe("c".repeat(100))
      expect(heldOf(reply).map(({ id }) => id)).toEqual(names.slice(100))
      const state = await task.check()
      expect([state.completed.length, state.active.size, state.waiting.length]).toEqual([100, 100, 0])
      const count = (name: string) => Number(state.stats.get(name))
      expect([count("started"), count("completed")]).toEqual([200, 100])
      // A call that is sent again may reach a server that took over: its tokens lie beyond all that were granted.
      expect(count("token")).toBeGreaterThanOrEqual(200)
      expect(task.ledger.count("completed")).toBe(100)
    },
  )
})

/** An answer without what tells when it was given. */
function timeless(reply: unknown): unknown {
  return typeof reply === "object" ? { ...reply, at: 0 } : reply
}

function isStale(reply: unknown): boolean {
  const { tasks } = reply as { tasks?: readonly unknown[] }
  return reply === "stale" || tasks?.[0] === "stale"
}

/** An adapter whose script calls go through `around`. */
function faulty(store: Store, around: <T>(run: () => Promise<T>) => Promise<T>): Adapter {
  const clock = {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimeout: (fn: () => void, ms: number) => setTimeout(fn, ms),
    clearTimeout: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout),
  }
  const wrapped: Store = {
    ...bound(store),
    run: (script, keys, args) => around(() => store.run(script, keys, args)),
  }
  return { kind: "memory", prefix: "", clock, open: () => wrapped }
}

function bound(store: Store): Store {
  return {
    connect: () => store.connect(),
    run: (script, keys, args) => store.run(script, keys, args),
    readStreams: (positions, blockMs, count) => store.readStreams(positions, blockMs, count),
    waitForWork: (keys, blockMs) => store.waitForWork(keys, blockMs),
    interruptRead: () => store.interruptRead(),
    interruptWait: () => store.interruptWait(),
    subscribe: (channels) => store.subscribe(channels),
    describe: () => store.describe(),
    connected: () => store.connected(),
    close: () => store.close(),
  }
}
