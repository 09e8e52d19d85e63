import { describe, expect, test } from "vitest"
import type { TaskKey } from "../../src/store/keys.ts"
import { decodeRecord } from "../../src/store/record.ts"
import { scripts } from "../../src/store/scripts.ts"
import { onBothHosts } from "../support/hosts.ts"
import type { Call } from "./calls.ts"
import { benchOf, heldOf, type TaskBench } from "./harness.ts"
import { arrange, type State, stateNames, states, subject } from "./states.ts"

onBothHosts("questions about a job in every state", (host) => {
  const bench = benchOf(host)
  const live = ["waiting", "delayed", "active"] as const
  const collections = [...live, "completed", "failed", "cancelled"] as const

  /** Where `count` and `list` must see the subject; due jobs wait, promoted or not. */
  function expected(state: State): { counted?: string; listed?: string; found: string } {
    const in_ = (name: string) => ({ counted: name, listed: name, found: name })
    switch (state) {
      case "absent":
      case "forgotten":
        return { found: "gone" }
      case "forgotten tombstone":
        return { found: "gone", listed: "waiting" }
      case "tombstone":
        return { ...in_("cancelled"), listed: "waiting cancelled" }
      case "due":
        return { ...in_("waiting"), found: "delayed" }
      case "damaged, due":
        return { ...in_("waiting"), found: "damaged" }
      case "damaged, waiting":
      case "damaged, ranked":
        return { ...in_("waiting"), found: "damaged" }
      case "damaged, active":
      case "damaged, expired":
        return { ...in_("active"), found: "damaged" }
      case "completed":
      case "failed":
      case "cancelled":
        return in_(state)
      case "delayed":
      case "retrying":
        return in_("delayed")
      case "active":
      case "requested":
      case "expired":
      case "expired, requested":
      case "granted again":
        return in_("active")
      default:
        return in_("waiting")
    }
  }

  test.each(stateNames)("%s: count, list and fetch agree, and change nothing", async (state) => {
    const task = bench.task()
    await arrange(task, bench, state)
    const before = await task.check()
    const counts = await task.send(task.calls.count(["dispatched", "completed"]))
    const counted = collections.filter((name) => counts[name] > 0).join(" ")
    expect(counts.counters).toEqual([
      Number(before.stats.get("dispatched") ?? 0),
      Number(before.stats.get("completed") ?? 0),
    ])
    const listed: string[] = []
    for (const name of collections)
      if ((await task.send(task.calls.list(name))).includes(subject)) listed.push(name)
    const { record } = await task.send(task.calls.fetch(subject))
    const found = record === "" ? "gone" : (decodeRecord(record)?.state ?? "damaged")
    const wanted = expected(state)
    expect({ counted, listed: listed.join(" "), found }).toEqual({ counted: "", listed: "", ...wanted })
    await task.send(task.calls.snapshot())
    await task.send(task.calls.entries("-"))
    expect(await task.check()).toEqual(before)
  })

  test("every state has been asked about", () => expect(stateNames).toEqual(Object.keys(states)))
})

onBothHosts("scripts, one by one", (host) => {
  const bench = benchOf(host)

  async function held(task: TaskBench, id = "a") {
    await task.dispatch(id)
    return (await task.claim(1))[0]!
  }

  describe("enqueue", () => {
    test("stores a mixed batch in one call, and tells duplicates apart, also within the batch", async () => {
      const task = bench.task()
      await task.fresh(task.calls.enqueue(task.next(), [{ id: "known", named: true }]))
      const { words } = await task.fresh(
        task.calls.enqueue(task.next(), [
          { id: "plain" },
          { id: "known", named: true },
          { id: "new", named: true },
          { id: "later", delay: 60_000 },
          { id: "new", named: true, delay: 5 },
          { id: "high", priority: 9 },
          { id: "named later", named: true, priority: 2, delay: 60_000 },
        ]),
      )
      expect(words).toBe("sdssdss")
      expect(task.state!.waiting.map((place) => place.split("\t")[0])).toEqual(["known", "plain", "new"])
      expect(task.state!.stats.get("dispatched")).toBe("6")
    })

    test("refuses options that it cannot read, before it writes anything", async () => {
      const task = bench.task()
      const call = task.calls.enqueue(task.next(), [{ id: "a" }, { id: "b", delay: Number.NaN, named: true }])
      await expect(task.send(call)).rejects.toThrow(/options of job b/)
      expect((await task.check()).stats.size).toBe(0)
    })

    test("takes the most jobs and bytes that a call may carry", async () => {
      const task = bench.task()
      const data = JSON.stringify("ü".repeat(1000))
      const jobs = Array.from({ length: 500 }, (_, i) => ({
        id: `j${i}`,
        data,
        priority: i % 2,
        named: i % 3 === 0,
      }))
      const { words } = await task.fresh(task.calls.enqueue(task.next(), jobs))
      expect(words).toBe("s".repeat(500))
      const claimed = await task.claim(500)
      expect(claimed.length).toBe(500)
      const done = claimed.map((one) => ({ ...one, kind: "released" as const }))
      await task.fresh(task.calls.settle(task.next(), done))
      expect(task.state!.priority.size).toBe(500)
    })

    test("wakes somebody when the list was empty and when something falls due earlier", async () => {
      const task = bench.task()
      const take = () => task.command("DEL", task.keys.wake)
      const woken = async (jobs: Parameters<typeof task.calls.enqueue>[1]) => {
        await take()
        task.markerTaken = true
        await task.fresh(task.calls.enqueue(task.next(), jobs))
        return task.state!.wake.length > 0
      }
      expect(await woken([{ id: "late", delay: 60_000 }])).toBe(true)
      expect(await woken([{ id: "later", delay: 90_000 }])).toBe(false)
      expect(await woken([{ id: "sooner", delay: 30_000 }])).toBe(true)
      expect(await woken([{ id: "first" }])).toBe(true)
      expect(await woken([{ id: "high", priority: 1 }])).toBe(true)
    })
  })

  describe("settle", () => {
    test("gives a taken marker back as long as anything waits", async () => {
      const task = bench.task()
      await task.dispatch("a", "b")
      const woken = async () => {
        await task.command("DEL", task.keys.wake)
        const reply = await task.fresh(task.calls.settle(task.next(), [], { want: 1, woken: true }))
        return [reply.more, task.state!.wake.length]
      }
      expect(await woken()).toEqual([true, 1])
      // The list was looked at no further than its last job.
      expect(await woken()).toEqual([true, 0])
      expect(await woken()).toEqual([false, 0])
    })

    test("says when the next delayed job falls due, also of one that it delays itself", async () => {
      const task = bench.task()
      const one = await held(task)
      const enqueued = await task.fresh(task.calls.enqueue(task.next(), [{ id: "d", delay: 50_000 }]))
      const claim = await task.fresh(task.calls.settle(task.next(), [], { want: 1 }))
      expect(claim.due).toBe(enqueued.at + 50_000)
      const retry = { ...one, kind: "retried" as const, body: '20000\n"m"\n{}' }
      const reply = await task.fresh(task.calls.settle(task.next(), [retry]))
      expect(reply.due).toBe(reply.at + 20_000)
    })

    test("keeps a result beyond the inline limit apart, and lets it outlive its job a little", async () => {
      const task = bench.task()
      await task.dispatch("short", "long")
      const [short, long] = await task.claim(2)
      const result = (length: number) => `"${"x".repeat(length - 2)}"`
      const options = { inline: 100, keepCompleted: 2 }
      await task.fresh(
        task.calls.settle(
          task.next(),
          [
            { ...short!, kind: "completed", body: result(100) },
            { ...long!, kind: "completed", body: result(101) },
          ],
          options,
        ),
      )
      expect([...task.state!.results]).toEqual([["long", { text: result(101), ttl: -1 }]])
      expect(task.ledger.of("short").at(-1)!.fields.result).toBe(result(100))
      expect(task.ledger.of("long").at(-1)!.fields).not.toHaveProperty("result")
      expect((await task.send(task.calls.fetch("long"))).result).toBe(result(101))
      await task.dispatch("c", "d")
      const more = (await task.claim(2)).map((one) => ({ ...one, kind: "completed" as const }))
      await task.fresh(task.calls.settle(task.next(), more, options))
      expect([...task.state!.records.keys()].sort()).toEqual(["c", "d"])
      expect(task.state!.results.get("long")!.ttl).toBeGreaterThan(0)
    })

    test("keeps the newest ended jobs, in the order in which they ended", async () => {
      const task = bench.task()
      await task.dispatch("a", "b", "c", "d", "e")
      for (const one of await task.claim(5))
        await task.fresh(task.calls.settle(task.next(), [{ ...one, kind: "failed" }], { keepFailed: 3 }))
      expect(await task.send(task.calls.list("failed"))).toEqual(["e", "d", "c"])
      expect(await task.send(task.calls.list("failed", 1, 1))).toEqual(["d"])
    })

    test("keeps the last nineteen runs of a job's history", async () => {
      const task = bench.task()
      await task.dispatch("a")
      for (let run = 1; run <= 25; run++) {
        const [one] = await task.claim(1)
        const retry = { ...one!, kind: "retried" as const, run: `trace${run}`, body: '0\n"m"\n{}' }
        await task.fresh(task.calls.settle(task.next(), [retry]))
      }
      const { history } = decodeRecord(task.state!.texts.get("a")!)!
      expect(history.map(({ attempt, run }) => `${attempt} ${run}`)).toEqual(
        Array.from({ length: 19 }, (_, i) => `${i + 7} trace${i + 7}`),
      )
    })

    test.each(["unknown kind", "failed", "retried"])(
      "refuses what it cannot read before it writes: %s",
      async (kind) => {
        const task = bench.task()
        const one = await held(task)
        const before = task.state
        const call = task.calls.settle(task.next(), [{ ...one, kind: kind as "failed", body: "NaN" }])
        await expect(task.send(call)).rejects.toThrow(/cannot be read/)
        expect(await task.check()).toEqual(before)
      },
    )

    test("names the reasons of those that a request turned into cancelled, in order", async () => {
      const task = bench.task()
      await task.dispatch("a", "b", "c")
      const all = await task.claim(3)
      await task.fresh(task.calls.cancel(task.next(), "c", ""))
      await task.fresh(task.calls.cancel(task.next(), "a", '"first"'))
      const renewed = await task.fresh(task.calls.renew(task.next(), all))
      expect(renewed).toMatchObject({ words: "xox", reasons: ['"first"', ""] })
      const items = all.map((one) => ({ ...one, kind: "completed" as const }))
      const reply = await task.fresh(task.calls.settle(task.next(), items))
      expect(reply).toMatchObject({ words: "xcx", reasons: ['"first"', ""] })
      expect(task.ledger.of("a").at(-1)!.fields.reason).toBe('"first"')
    })

    test("splits entries at 16 KiB, and trims the stream", async () => {
      const task = bench.task()
      const ids = Array.from({ length: 500 }, (_, i) => `j${i}-${"x".repeat(80)}`)
      await task.dispatch(...ids)
      const all = await task.claim(500)
      const [entries] = await bench.reader.run([["XLEN", task.keys.events]])
      expect(entries).toBeGreaterThan(1)
      for (const one of all.slice(0, 250))
        await bench.store.run(
          ...sendable(task.calls.settle(task.next("q"), [{ ...one, kind: "completed" }], { maxlen: 10 })),
        )
      const [length] = await bench.reader.run([["XLEN", task.keys.events]])
      expect(length).toBeLessThan(200)
    })
  })

  describe("renew", () => {
    test("moves the deadline of what is held, and keeps the run's trace", async () => {
      const task = bench.task()
      const one = await held(task)
      const reply = await task.fresh(task.calls.renew(task.next(), [{ ...one, run: "00-trace" }], 12_345))
      expect([...task.state!.active.values()]).toEqual([reply.at + 12_345])
      expect(task.state!.records.get("a")!.run).toBe("00-trace")
    })

    test("answers each lease on its own", async () => {
      const task = bench.task()
      await task.dispatch("a", "b", "c")
      const [a, b, c] = await task.claim(3)
      await task.fresh(task.calls.cancel(task.next(), "c"))
      const lost = { ...b!, token: 99 }
      expect((await task.fresh(task.calls.renew(task.next(), [a!, lost, c!]))).words).toBe("olx")
    })
  })

  describe("progress and log", () => {
    test("tell each report on its own, and keep the last", async () => {
      const task = bench.task()
      await task.dispatch("a", "b")
      const [a, b] = await task.claim(2)
      const reports = [a!, { ...b!, token: 99 }, { ...a!, value: '{"step":2}' }]
      expect((await task.fresh(task.calls.progress(task.next(), reports))).words).toBe("olo")
      expect(task.state!.progress).toEqual(new Map([["a", '{"step":2}']]))
      expect(task.ledger.of("a").map(({ fields }) => fields.progress)).toEqual([
        undefined,
        "50",
        '{"step":2}',
      ])
    })

    test.each([
      ["lines", { lines: 3, bytes: 10_000 }],
      ["bytes", { lines: 100, bytes: 9 }],
      ["bytes that do not fit evenly", { lines: 100, bytes: 10 }],
    ])("a log that is full of %s says so once, and takes no more", async (_name, limits) => {
      const task = bench.task()
      const one = await held(task)
      const said: string[] = []
      for (let i = 0; i < 6; i++)
        said.push(await task.fresh(task.calls.log(task.next(), one, ['"1"'], limits)))
      expect(said).toEqual(["logged", "logged", "logged", "full", "full", "full"])
      expect((await task.send(task.calls.fetch("a", "l"))).logs).toEqual(['"1"', '"1"', '"1"', '"full"'])
    })

    test("a log goes on over the runs of a job, and goes with it", async () => {
      const task = bench.task()
      let one = await held(task)
      await task.fresh(task.calls.log(task.next(), one, ['"first"']))
      await task.fresh(task.calls.settle(task.next(), [{ ...one, kind: "released" }]))
      one = (await task.claim(1))[0]!
      await task.fresh(task.calls.log(task.next(), one, ['"second"', '"third"']))
      await task.fresh(task.calls.progress(task.next(), [one]))
      expect((await task.send(task.calls.fetch("a"))).logs).toEqual(['"first"', '"second"', '"third"'])
      await task.fresh(task.calls.settle(task.next(), [{ ...one, kind: "failed" }], { keepFailed: 0 }))
      expect([task.state!.logs.size, task.state!.progress.size]).toEqual([0, 0])
    })
  })

  describe("cancel", () => {
    test("publishes a request for an active job, with its token", async () => {
      const task = bench.task()
      await bench.store.subscribe([task.keys.channel])
      const one = await held(task)
      await task.fresh(task.calls.cancel(task.next(), "a", '"why"'))
      await bench.pass(1)
      for (let turn = 0; turn < 100 && bench.messages.length === 0; turn++)
        await new Promise((resolve) => setTimeout(resolve, 5))
      expect(bench.messages).toEqual([`${task.keys.channel} a\t${one.token}\t"why"`])
    })

    test("answers with the record's head as it was, without its data", async () => {
      const task = bench.task()
      await task.fresh(
        task.calls.enqueue(task.next(), [{ id: "a", headers: '{"h":"1"}', data: '{"secret":1}' }]),
      )
      const { record } = await task.fresh(task.calls.cancel(task.next(), "a"))
      expect(decodeRecord(record)).toMatchObject({ state: "waiting", headers: '{"h":"1"}', data: "" })
    })
  })

  describe("upkeep", () => {
    test("works on several tasks in one call, each with its receipt", async () => {
      const tasks = [bench.task(), bench.task(), bench.task()]
      for (const task of tasks.slice(0, 2)) {
        await task.dispatch("a")
        await task.claim(1, 1)
      }
      await tasks[0]!.fresh(tasks[0]!.calls.enqueue(tasks[0]!.next(), [{ id: "d", delay: 1 }]))
      await bench.pass(3)
      const calls = tasks.map((task) => task.calls.upkeep({ lane: "keeper", n: 1 }))
      const keys = calls.flatMap((call) => call.keys)
      const args = calls.flatMap((call) => call.args)
      const send = async () =>
        scripts.upkeep.reply(await bench.store.run(scripts.upkeep.source, keys, args)).tasks
      const done = await send()
      expect(done).toMatchObject([
        { promoted: 1, stalled: [{ id: "a", action: "recovered", count: 1 }] },
        { promoted: 0, stalled: [{ id: "a" }] },
        { promoted: 0, stalled: [] },
      ])
      expect(await send()).toEqual(done)
      for (const task of tasks) await task.check()
    })

    test("recovers, promotes and trims in batches, and says when there is more", async () => {
      const task = bench.task()
      const ids = (letter: string, n: number) => Array.from({ length: n }, (_, i) => `${letter}${i}`)
      await task.dispatch(...ids("c", 150))
      const done = (await task.claim(150)).map((one) => ({ ...one, kind: "completed" as const }))
      await task.fresh(task.calls.settle(task.next(), done, { keepCompleted: 1000 }))
      await task.dispatch(...ids("a", 120))
      await task.claim(120, 1)
      const delayed = ids("d", 300).map((id) => ({ id, delay: 1 }))
      await task.fresh(task.calls.enqueue(task.next(), delayed))
      await bench.pass(3)
      const seen = { stalled: 0, promoted: 0, calls: 0 }
      for (let more = true; more; seen.calls++) {
        const { tasks } = await task.send(task.calls.upkeep(task.next(), { ageCompleted: 1 }))
        const kept = tasks[0]!
        if (kept === "stale") throw new Error("stale")
        seen.stalled += kept.stalled.length
        seen.promoted += kept.promoted
        more = kept.more
      }
      expect(seen).toMatchObject({ stalled: 120, promoted: 300 })
      expect(seen.calls).toBeLessThan(8)
      expect(task.state!.completed.length).toBe(0)
      expect(task.state!.waiting.length + task.state!.priority.size).toBe(420)
    })

    test("fails a job that stalled more often than it may, and a hand-back is no stall", async () => {
      const task = bench.task()
      await task.dispatch("a")
      for (let stall = 1; stall <= 3; stall++) {
        const [one] = await task.claim(1)
        await task.fresh(task.calls.settle(task.next(), [{ ...one!, kind: "released" }]))
        await task.claim(1, 1)
        await bench.pass(3)
        const { tasks } = await task.send(task.calls.upkeep(task.next(), { stalls: 2 }))
        expect(tasks).toMatchObject([
          { stalled: [{ count: stall, action: stall < 3 ? "recovered" : "failed" }] },
        ])
      }
      const record = decodeRecord(task.state!.texts.get("a")!)!
      expect(record).toMatchObject({ state: "failed", stalls: 3, releases: 3, attempt: 1, fails: 1 })
      expect(JSON.parse(record.outcome)).toMatchObject({ name: "StalledError" })
    })

    test("sets a lost marker again", async () => {
      const task = bench.task()
      await task.dispatch("a")
      await task.command("DEL", task.keys.wake)
      await task.send(task.calls.upkeep(task.next()))
      expect(task.state!.wake).toEqual(["w"])
    })
  })

  test("count tells the oldest waiting job, past tombstones and over priorities", async () => {
    const task = bench.task()
    const first = await task.fresh(task.calls.enqueue(task.next(), [{ id: "gone" }]))
    await bench.pass(2)
    const second = await task.fresh(task.calls.enqueue(task.next(), [{ id: "old" }]))
    await bench.pass(2)
    await task.fresh(
      task.calls.enqueue(task.next(), [
        { id: "high", priority: 7 },
        { id: "higher", priority: 8 },
      ]),
    )
    expect((await task.send(task.calls.count())).oldest).toBe(first.at)
    await task.fresh(task.calls.cancel(task.next(), "gone"))
    expect((await task.send(task.calls.count())).oldest).toBe(second.at)
    const [high] = await task.claim(1)
    await task.fresh(task.calls.settle(task.next(), [{ ...high!, kind: "released" }]))
    expect((await task.send(task.calls.count())).oldest).toBe(second.at)
  })

  test("list pages through both collections of waiting jobs", async () => {
    const task = bench.task()
    const jobs = Array.from({ length: 7 }, (_, i) => ({ id: `j${i}`, priority: i < 3 ? 5 : 0 }))
    await task.fresh(task.calls.enqueue(task.next(), jobs))
    const pages: string[] = []
    for (let from = 0; from < 8; from += 2)
      pages.push(...(await task.send(task.calls.list("waiting", from, 2))))
    expect(pages).toEqual(jobs.map(({ id }) => id))
  })

  test("jobs that are due are listed where they are counted, promoted or not", async () => {
    const task = bench.task()
    const at = { c: 0, d: 1, e: 1, f: 600_000 }
    const jobs = Object.entries(at).map(([id, delay]) => ({ id, delay }))
    await task.fresh(task.calls.enqueue(task.next(), [{ id: "b", priority: 1 }, ...jobs, { id: "a" }]))
    await bench.pass(3)
    const paged = async (state: string) => {
      const ids: string[] = []
      for (let from = 0; from < 8; from++) ids.push(...(await task.send(task.calls.list(state, from, 1))))
      return ids
    }
    expect([await paged("waiting"), await paged("delayed")]).toEqual([["b", "c", "a", "d", "e"], ["f"]])
    const { waiting, delayed } = await task.send(task.calls.count())
    expect([waiting, delayed]).toEqual([5, 1])
    await task.fresh(task.calls.cancel(task.next("c"), "c"))
    expect(await paged("waiting")).toEqual(["b", "c", "a", "d", "e"])
    await task.send(task.calls.upkeep(task.next("u")))
    expect([await paged("waiting"), await paged("delayed")]).toEqual([["b", "c", "a", "d", "e"], ["f"]])
  })

  describe.each([
    ["plain jobs", [{ id: "a" }, { id: "b", data: JSON.stringify("l".repeat(2000)) }], ["waiting", "wake"]],
    ["jobs with options", [{ id: "a", named: true }, { id: "b" }], ["waiting", "priority", "wake"]],
    ["a job with a priority", [{ id: "a", priority: 1 }], ["priority", "wake"]],
    ["a delayed job", [{ id: "a", delay: 5000 }], ["delayed", "wake"]],
  ] as const)("a dispatch of %s", (_what, jobs, needed) => {
    test.each(needed)("is refused whole where `%s` is of a wrong type", async (name) => {
      const task = bench.task()
      await task.fresh(task.calls.enqueue(task.next(), [{ id: "before", priority: 1 }]))
      await task.claim()
      await spoiled(task, name, task.calls.enqueue(task.next(), jobs))
      expect(await task.fresh(task.calls.enqueue(task.next(), jobs))).toMatchObject({
        words: "s".repeat(jobs.length),
      })
    })
  })

  test.each(["waiting", "active", "events", "wake"] as const)(
    "a launch is refused whole where `%s` is of a wrong type",
    async (name) => {
      const task = bench.task()
      // What is left in `ranked` makes the launched job wait, and wake somebody.
      if (name === "wake") {
        await task.fresh(task.calls.enqueue(task.next("e"), [{ id: "gone", priority: 1 }]))
        await task.fresh(task.calls.cancel(task.next("c"), "gone"))
      }
      const data = JSON.stringify("l".repeat(2000))
      await spoiled(task, name, task.calls.launch(task.next(), { id: "a", data }))
      const { record } = await task.fresh(task.calls.launch(task.next(), { id: "a", data }))
      expect(record === undefined).toBe(name === "wake")
    },
  )

  /** The call is refused while the key, which is not there otherwise, is of a wrong type; nothing of it is left then. */
  async function spoiled(task: TaskBench, name: TaskKey, call: Call) {
    await task.command("DEL", task.keys[name])
    const before = await task.check()
    await task.command("SET", task.keys[name], "spoilt")
    const { script, keys, args } = call
    await expect(bench.store.run(script.source, keys, args)).rejects.toThrow(/WRONGTYPE/)
    await task.command("DEL", task.keys[name])
    expect(await task.check()).toEqual(before)
  }

  test.runIf(host.name === "redis")("no command takes more than 1,000 records and data", async () => {
    const task = bench.task()
    const writes = async () =>
      Number(/cmdstat_mset:calls=(\d+)/.exec(String(await task.command("INFO", "commandstats")))?.[1] ?? 0)
    const data = JSON.stringify("l".repeat(1100))
    for (const options of [{}, { priority: 1 }]) {
      const before = await writes()
      const jobs = Array.from({ length: 500 }, (_, i) => ({
        id: `j${i}${options.priority}`,
        data,
        ...options,
      }))
      await task.fresh(task.calls.enqueue(task.next(), jobs))
      // Those with a priority are written once more, with their orders.
      expect((await writes()) - before).toBe(options.priority ? 3 : 2)
    }
    expect([task.state!.records.size, task.state!.datas.size]).toEqual([1000, 1000])
  })

  test("a claim takes no job where `active` is of a wrong type", async () => {
    const task = bench.task()
    await task.dispatch("a")
    await task.command("SET", task.keys.active, "spoilt")
    const { script, keys, args } = task.calls.settle(task.next("w"), [], { want: 1 })
    await expect(bench.store.run(script.source, keys, args)).rejects.toThrow(/WRONGTYPE/)
    await task.command("DEL", task.keys.active)
    expect((await task.check()).waiting).toEqual(["a"])
  })

  test("snapshot and entries tell where the stream ends and what it holds", async () => {
    const task = bench.task()
    expect(await task.send(task.calls.snapshot())).toEqual([{ id: "0-0", seq: 0, epoch: "" }])
    await held(task)
    const [{ id, seq } = { id: "", seq: 0 }] = await task.send(task.calls.snapshot())
    expect(seq).toBe(1)
    const [entry, text] = await task.send(task.calls.entries("-"))
    expect(entry).toBe(id)
    expect(text).toMatch(/^1,tester\naa\t1\t/)
    expect(await task.send(task.calls.entries(`(${id}`))).toEqual([])
  })

  test("declare, greet, attend and roster keep the registries", async () => {
    const run = async (name: "declare" | "greet" | "attend" | "roster", args: (string | number)[]) => {
      const script = scripts[name]
      const keys = script.keys.map((key) => bench.shared[key])
      return script.reply(await bench.store.run(script.source, keys, args))
    }
    const live = async () => {
      const roster = (await run("roster", [])) as ReturnType<typeof scripts.roster.reply>
      return { tasks: roster.tasks.map(({ name }) => name).sort(), workers: [...roster.workers].sort() }
    }
    expect(await live()).toEqual({ tasks: [], workers: [] })
    await run("declare", ["one", '{"a":1}', "two", "{}"])
    await run("declare", ["two", "{}"])
    await run("attend", ["w1", 60_000, '"first"'])
    await run("attend", ["w2", 1, '"second"'])
    await run("attend", ["w3", 60_000, '"third"'])
    await bench.pass(3)
    expect(await live()).toEqual({ tasks: ["one", "two"], workers: ['"first"', '"third"'] })
    await run("attend", ["w3", 0, ""])
    const lost = await bench.reader.run([["HGET", bench.shared.meta, "workersLost"]])
    expect(lost).toEqual(["1"])
    expect(await live()).toEqual({ tasks: ["one", "two"], workers: ['"first"'] })
    expect(await run("greet", ["1"])).toBe("1")
    expect(await run("greet", ["2"])).toBe("1")
  })

  test("scripts are loaded again after the server has forgotten them", async () => {
    const task = bench.task()
    await task.dispatch("a")
    await bench.flushScripts()
    expect(await task.claim(1)).toMatchObject([{ id: "a" }])
  })

  test("a server that took over grants no token that the lost one may have granted", async () => {
    const task = bench.task()
    await task.dispatch("a", "b", "c", "d")
    expect(await task.claim(1)).toEqual([{ id: "a", token: "1" }])
    // Whoever claimed b under token 2 was with a server that is gone, and so is the claim.
    const reply = await task.fresh(task.calls.settle(task.next(), [], { want: 1, rejoined: true }))
    const [held] = heldOf(reply)
    expect(Number(held!.token)).toBeGreaterThan(1_000_000)
    const late = { id: "b", token: "2", kind: "completed" as const }
    expect((await task.fresh(task.calls.settle(task.next("late"), [late]))).words).toBe("l")
    const launched = await task.fresh(task.calls.launch(task.next(), { id: "e" }, { rejoined: true }))
    expect(launched.record).toBeUndefined()
    expect(Number((await task.claim(1))[0]!.token)).toBeGreaterThan(Number(held!.token) + 1_000_000)
  })

  test("a server that came back empty grants other tokens than before to lanes that have called before", async () => {
    const task = bench.task()
    await task.dispatch("a")
    const reply = await task.fresh(task.calls.settle({ lane: "old", n: 7 }, [], { want: 1 }))
    expect(Number(heldOf(reply)[0]!.token)).toBeGreaterThan(1_000_000)
  })

  test("a claimed job's record is what the claim answered", async () => {
    const task = bench.task()
    await task.dispatch("a")
    const reply = await task.fresh(task.calls.settle(task.next(), [], { want: 1, attempts: 5 }))
    const record = task.state!.texts.get("a")!
    expect(reply.claimed).toEqual([{ id: "a", record, data: undefined }])
    expect(decodeRecord(record)).toMatchObject({ maxAttempts: 5, attempt: 1, claimed: reply.at })
    expect(heldOf(reply)).toEqual([{ id: "a", token: "1" }])
  })
})

function sendable({
  script,
  keys,
  args,
}: {
  script: { source: typeof scripts.settle.source }
  keys: readonly string[]
  args: readonly (string | number)[]
}) {
  return [script.source, keys, args] as const
}
