import { Redis } from "ioredis"
import { afterEach, describe, expect, onTestFinished, test } from "vitest"
import { ConnectionError, EventsLostError } from "../../../src/index.ts"
import { memoryAdapter } from "../../../src/memory.ts"
import { taskKeys } from "../../../src/store/keys.ts"
import { type Adapter, type Reply, type Store, StoreError } from "../../../src/store/store.ts"
import { bodyOf, type Call, callsOf } from "../../lua/calls.ts"
import { benchOf, heldOf, type TaskBench } from "../../lua/harness.ts"
import { onBothHosts, testApps } from "../../support/hosts.ts"
import { manualClock } from "../../support/manual-clock.ts"
import { redisAvailable, startRedis } from "../../support/redis-server.ts"

/**
 * What each guard of the engine keeps from happening, in the words of the invariant that it protects. `npm run patches`
 * takes the guards out one at a time (see patches.js), and each must be missed here.
 */
onBothHosts("guards of the scripts", (host) => {
  const bench = benchOf(host)

  /** Sends a call without looking at the state afterwards: what is wrong is said by the test. */
  async function raw<T>(call: Call<T>): Promise<T> {
    return call.script.reply(await bench.store.run(call.script.source, call.keys, call.args))
  }

  const sizeOf = (task: TaskBench, key: string) => task.command("ZCARD", key)

  /** A run whose lease was lost, and the run that took its place. */
  async function overtaken(task: TaskBench) {
    await task.dispatch("a")
    const [old] = await task.claim(1, 1)
    await bench.pass(3)
    await task.fresh(task.calls.upkeep(task.next("up")))
    const [own] = await task.claim(1)
    return { old: old!, own: own! }
  }

  test("I1: a dispatch that is sent again exists once", async () => {
    const task = bench.task()
    const call = task.calls.enqueue(task.next(), [{ id: "a" }])
    await raw(call)
    await raw(call)
    expect(await task.command("LLEN", task.keys.waiting), "I1: a job exists twice").toBe(1)
  })

  test("I1: a claim that comes late takes no job that nobody would hold", async () => {
    const task = bench.task()
    const [first, second] = [task.next("w"), task.next("w")]
    await raw(task.calls.settle(second, [], { want: 1 }))
    await task.dispatch("a")
    await raw(task.calls.settle(first, [], { want: 1 }))
    expect(await sizeOf(task, task.keys.active), "I1: a lease that nobody holds").toBe(0)
  })

  test("I1: a launch that comes after the question about it stores nothing", async () => {
    const task = bench.task()
    const at = task.next("l")
    await raw(task.calls.launch(at, { id: "a" }, { asking: true }))
    await raw(task.calls.launch(at, { id: "a" }))
    expect(await sizeOf(task, task.keys.active), "I1: a lease that nobody holds").toBe(0)
  })

  test("I2: what is left of an earlier life is not taken for the job", async () => {
    const task = bench.task()
    const dispatch = () => task.fresh(task.calls.enqueue(task.next(), [{ id: "n", named: true }]))
    await dispatch()
    await task.fresh(task.calls.cancel(task.next("c"), "n", "", 0))
    await dispatch()
    expect(task.state!.waiting.length).toBe(2)
  })

  test("I2: what has ended is active no more", async () => {
    const task = bench.task()
    await task.dispatch("a")
    const [held] = await task.claim()
    await task.fresh(task.calls.settle(task.next(), [{ ...held!, kind: "completed" }]))
  })

  test("I2: what a cancelled job leaves in the list is known", async () => {
    const task = bench.task()
    await task.dispatch("a", "b")
    await task.fresh(task.calls.cancel(task.next("c"), "a"))
  })

  test("I3: one run ends once, though one call says it twice", async () => {
    const task = bench.task()
    await task.dispatch("a")
    const [held] = await task.claim()
    const twice = [
      { ...held!, kind: "completed" as const },
      { ...held!, kind: "completed" as const },
    ]
    const reply = await raw(task.calls.settle(task.next(), twice))
    expect(reply, "I3: two terminal entries").toMatchObject({ words: "cl" })
  })

  test("I4: nothing is told of a job after its end", async () => {
    const task = bench.task()
    await task.dispatch("a")
    const [held] = await task.claim()
    await task.fresh(task.calls.settle(task.next(), [{ ...held!, kind: "completed" }]))
    await task.fresh(task.calls.progress(task.next("p"), [held!]))
  })

  test("I5: who has lost the lease settles nothing", async () => {
    const task = bench.task()
    const { old } = await overtaken(task)
    const reply = await raw(task.calls.settle(task.next(), [{ ...old, kind: "completed" }]))
    expect(reply, "I5: a loser wrote an outcome").toMatchObject({ words: "l" })
  })

  test("I5: who has lost the lease is told so", async () => {
    const task = bench.task()
    const { old, own } = await overtaken(task)
    expect(await raw(task.calls.renew(task.next("r"), [old, own])), "I5: a loser may go on").toMatchObject({
      words: "lo",
    })
  })

  test("I6: a job that stalls too often fails", async () => {
    const task = bench.task()
    await overtaken(task)
    await task.command("ZADD", task.keys.active, "1", [...task.state!.active.keys()][0]!)
    const reply = await raw(task.calls.upkeep(task.next("up"), { stalls: 1 }))
    expect(reply.tasks, "I6: it stalls for ever").toMatchObject([{ stalled: [{ action: "failed" }] }])
  })

  test("I7: a lease that holds is not recovered", async () => {
    const task = bench.task()
    await task.dispatch("a")
    await task.claim()
    const reply = await raw(task.calls.upkeep(task.next("up")))
    expect(reply.tasks, "I7: a healthy job runs twice").toMatchObject([{ stalled: [] }])
  })

  test("I8: counters that begin anew say so", async () => {
    const task = bench.task()
    const epochs: Reply[] = []
    for (const round of [1, 2]) {
      await raw(task.calls.enqueue({ lane: `e${round}`, n: 1 }, [{ id: `j${round}` }]))
      epochs.push(await task.command("HGET", task.keys.stats, "epoch"))
      await task.command("DEL", task.keys.stats, task.keys.waiting)
    }
    expect(epochs.every(Boolean) && new Set(epochs).size === 2, "I8: a reset looks like a loss").toBe(true)
  })

  test("I10: transitions are numbered without gaps", async () => {
    const task = bench.task()
    await task.dispatch("a")
    const [held] = await task.claim()
    await task.fresh(
      task.calls.settle(task.next(), [{ ...held!, kind: "retried", body: bodyOf("retried", 0) }]),
    )
    await task.claim()
  })

  test("I11: who took the marker and leaves jobs gives it back", async () => {
    const task = bench.task()
    await task.dispatch("a", "b")
    task.markerTaken = true
    await task.command("DEL", task.keys.wake)
    await task.fresh(task.calls.settle(task.next("w"), [], { want: 1, woken: true }))
  })

  test.runIf(host.name === "embedded")("I12: lanes that nobody uses are forgotten", async () => {
    const task = bench.task()
    await task.dispatch("a")
    await bench.pass(3 * 3_600_000)
    await task.fresh(task.calls.upkeep(task.next("up")))
    const fields = (await task.command("HKEYS", task.keys.stats)) as string[]
    expect(
      fields.filter((name) => name.startsWith("lane:")),
      "I12: receipts pile up",
    ).toEqual(["lane:up"])
  })

  test("I14: a cancel that was granted ends in cancelled", async () => {
    const task = bench.task()
    await task.dispatch("a")
    const held = heldOf(await task.fresh(task.calls.settle(task.next("w"), [], { want: 1 })))
    await task.fresh(task.calls.cancel(task.next("c"), "a"))
    const reply = await raw(task.calls.settle(task.next("w"), [{ ...held[0]!, kind: "completed" }]))
    expect(reply, "I14: the canceller was told what is not true").toMatchObject({ words: "x" })
  })
})

describe.skipIf(!redisAvailable())("guards of a full server (redis)", () => {
  const full: { redis?: Redis } = {}

  async function whileFull(send: (call: Call) => Promise<unknown>, make: (task: TaskCalls) => Promise<Call>) {
    const server = await startRedis({ args: ["--maxmemory-policy", "noeviction"] })
    onTestFinished(() => server.stop())
    full.redis = new Redis(server.url, { protocol: 2 })
    const call = await make(new TaskCalls(full.redis))
    await full.redis.config("SET", "maxmemory", "1")
    return send(call)
  }
  const send = ({ script, keys, args }: Call) =>
    full.redis!.eval(script.source.text, keys.length, ...keys, ...args).then(
      () => "done",
      (error: Error) => error.message.split(" ")[0],
    )
  afterEach(() => full.redis?.disconnect())

  test("I11: a full server can be worked empty", async () => {
    const said = await whileFull(send, async (task) => {
      await task.run(task.calls.enqueue({ lane: "e", n: 1 }, [{ id: "a" }]))
      return task.calls.settle({ lane: "w", n: 1 }, [], { want: 1 })
    })
    expect(said, "I11: no work goes on").toBe("done")
  })

  test("I12: a full server is not filled further by dispatches", async () => {
    const said = await whileFull(send, async ({ calls }) => calls.enqueue({ lane: "e", n: 1 }, [{ id: "a" }]))
    expect(said, "I12: memory grows beyond its limit").toBe("OOM")
  })
})

describe("guards of the engine (embedded)", () => {
  const open = testApps()

  function virtual(wrap: (run: Store["run"]) => Store["run"] = (run) => run) {
    const clock = manualClock()
    const memory = memoryAdapter({ clock })
    const adapter: Adapter = {
      ...memory,
      open(instance, listeners) {
        const store = memory.open(instance, listeners)
        store.run = wrap(store.run.bind(store))
        return store
      },
    }
    const pass = async (ms: number, step = 50) => {
      for (let at = 0; at < ms; at += step) await clock.advance(step)
    }
    return { adapter, pass, command: memory.command, keys: taskKeys("", "work") }
  }

  test("I1: a dispatch that may have been stored is not told to be refused", async () => {
    let calls = 0
    const { adapter, pass } = virtual((run) => async (script, ...rest) => {
      if (script.name !== "enqueue") return run(script, ...rest)
      if (calls++ > 0) throw new StoreError("cut off", "unsent")
      await run(script, ...rest)
      throw new StoreError("cut", "unanswered")
    })
    const app = open({ adapter })
    const task = app.task("work")
    // Connected before time goes by.
    await app.listen()
    const handle = task.dispatch({})
    const refused = handle.then(undefined, (error: unknown) => error)
    await pass(6000)
    const isDenied = (await refused) instanceof ConnectionError
    expect(
      isDenied && (await app.inspect().stats()).waiting === 1,
      "I1: a job that is there was denied",
    ).toBe(false)
  })

  test("I1: each call of a lane is a call of its own", async () => {
    const { adapter } = virtual()
    const app = open({ adapter })
    const task = app.task("work")
    for (let i = 0; i < 5; i++) await task.dispatch(i, { priority: 1 })
    expect((await app.inspect().stats()).waiting, "I1: an acknowledged job was lost").toBe(5)
  })

  test("I7: the lease of a healthy run is kept", async () => {
    const { adapter, pass } = virtual()
    const app = open({ adapter })
    let runs = 0
    let finish = () => {}
    const done = new Promise<void>((resolve) => {
      finish = resolve
    })
    const task = app.task("work", {
      timeout: 0,
      stall: { interval: 3000 },
      async handler() {
        runs++
        await done
      },
    })
    await app.start()
    const handle = task.dispatch({})
    await pass(10_000, 250)
    finish()
    await pass(1000)
    await handle.result
    expect(runs, "I7: a healthy job ran again").toBe(1)
  })

  test("I7: a heartbeat renews the lease now", async () => {
    const { adapter, pass, command, keys } = virtual()
    const app = open({ adapter })
    const ends: Reply[] = []
    const look = () => ends.push((command(["ZRANGE", keys.active, "0", "-1", "WITHSCORES"]) as string[])[1]!)
    const task = app.task("work", async (_, ctx) => {
      await pass(1000)
      look()
      await ctx.heartbeat()
      look()
    })
    await app.start()
    await pass(50)
    await task.dispatch({}).result
    expect(Number(ends[1]) - Number(ends[0]), "I7: the lease runs out under a run that says it lives").toBe(
      1000,
    )
  })

  test("I10: a gap in the stream is told, with its size", async () => {
    const { adapter, pass, command, keys } = virtual()
    const app = open({ adapter }, true)
    const lost: unknown[] = []
    app.on("worker:error", (error) => lost.push(error))
    const task = app.task("work", async () => "done")
    task.on("completed", () => {})
    await app.start()
    await task.dispatch({})
    await pass(100)
    command(["HINCRBY", keys.stats, "seq", "5"])
    await task.dispatch({})
    await pass(100)
    const sizes = lost.map((error) => error instanceof EventsLostError && error.lost)
    expect(sizes, "I10: events are missing, and nobody says so").toEqual([5])
  })

  test("I13: a listener's rejection is told, and nothing is left unhandled", async () => {
    const { adapter, pass } = virtual()
    const app = open({ adapter }, true)
    const told: string[] = []
    const unhandled = () => told.push("unhandled")
    process.on("unhandledRejection", unhandled)
    onTestFinished(() => void process.off("unhandledRejection", unhandled))
    app.on("worker:error", ({ message }) => told.push(message))
    const task = app.task("work", async () => "done")
    task.on("completed", async () => {
      throw new Error("of a listener")
    })
    await app.start()
    await task.dispatch({})
    await pass(100)
    expect(told, "I13: a rejection was not handled").toEqual(["of a listener"])
  })

  test("I14: who asks for a result after the end gets it", async () => {
    const { adapter, pass } = virtual()
    const app = open({ adapter })
    const task = app.task("work", async () => "done")
    await app.start()
    const handle = task.dispatch({})
    await pass(100)
    let result: unknown = "nothing"
    void handle.result.then((value) => {
      result = value
    })
    await pass(3000)
    expect(result, "I14: the waiter never hears of it").toBe("done")
  })
})

/** One task's calls on a server of its own. */
class TaskCalls {
  readonly calls = callsOf(taskKeys("full", "work"))

  constructor(private readonly redis: Redis) {}

  run({ script, keys, args }: Call): Promise<unknown> {
    return this.redis.eval(script.source.text, keys.length, ...keys, ...args)
  }
}
