import { expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import type { Kind, NewJob } from "./calls.ts"
import { benchOf, heldOf, type TaskBench } from "./harness.ts"

/** A job's option lines, as `src/gates.ts` writes them. */
const throttle = (max: number, windowMs: number, key = "k") => [`r ${max},${windowMs},${key}`]
const debounce = (delayMs: number, options: { maxWait?: number; keep?: number; key?: string } = {}) => [
  `b ${delayMs},${options.maxWait ?? ""},${options.keep ?? 100},10000,tester\t${options.key ?? "k"}`,
]
const dedupe = (states = "wda", key = "k") => [`u ${states},${key}`]

onBothHosts("gates", (host) => {
  const bench = benchOf(host)
  const enqueue = (task: TaskBench, ...jobs: NewJob[]) => task.fresh(task.calls.enqueue(task.next("e"), jobs))
  const one = async (task: TaskBench, id: string, terms: readonly string[], more: Partial<NewJob> = {}) => {
    const { words, notes } = await enqueue(task, { id, terms, ...more })
    return words === "s" ? "s" : `${words} ${notes[0]}`
  }
  const keysOf = async (task: TaskBench, kind: string) =>
    (await task.command("KEYS", `${task.keys.base}${kind}:*`)) as string[]

  test("throttle: at most max are let in by any window, wherever it begins, and told exactly when to come again", async () => {
    const task = bench.task()
    const [max, window] = [3, 60]
    const accepted: number[] = []
    let refused = 0
    for (let n = 0; n < 40; n++) {
      const jobs = Array.from({ length: 1 + (n % 5) }, (_, i) => ({
        id: `${n}.${i}`,
        terms: throttle(max, window),
      }))
      const { at, words, notes } = await enqueue(task, ...jobs)
      let note = 0
      for (const word of words) {
        const oldest = accepted.at(-max)
        const isFree = oldest === undefined || at - oldest > window
        expect(word, `at ${at}, after ${accepted.slice(-max)}`).toBe(isFree ? "s" : "t")
        if (isFree) accepted.push(at)
        else expect(Number(notes[note++])).toBe(oldest + window + 1 - at)
      }
      refused += note
      if (n % 3 > 0) await bench.pass((n * 7) % 23)
    }
    expect(accepted.length).toBeGreaterThan(2 * max)
    expect(refused).toBeGreaterThan(20)
    for (let i = max; i < accepted.length; i++)
      expect(accepted[i]! - accepted[i - max]!).toBeGreaterThan(window)
    expect(await task.command("LLEN", `${task.keys.base}throttle:k`)).toBeLessThanOrEqual(max)
  })

  test("throttle: jobs of one call see what was decided of those before them", async () => {
    const task = bench.task()
    const job = (n: number, key: string) => ({ id: `${key}${n}`, terms: throttle(2, 1e6, key) })
    await enqueue(task, job(0, "a"))
    const jobs = [job(1, "a"), job(2, "a"), job(1, "b"), job(3, "a"), job(2, "b"), job(3, "b")]
    const { words, notes } = await enqueue(task, ...jobs, { id: "plain" })
    expect(words).toBe("stststs")
    expect(notes).toHaveLength(3)
    expect(Number(notes[2])).toBe(1e6 + 1)
    expect([...task.state!.records.keys()].sort()).toEqual(["a0", "a1", "b1", "b2", "plain"])
  })

  test("throttle: a key is forgotten soon after its window", async () => {
    const task = bench.task()
    await one(task, "a", throttle(2, 20))
    expect(await keysOf(task, "throttle")).toHaveLength(1)
    await bench.pass(1100)
    expect(await keysOf(task, "throttle")).toEqual([])
  })

  test("throttle: each dispatch is judged by its own max, on the times that its key remembers", async () => {
    const task = bench.task()
    const answers = []
    for (const [n, max] of [5, 5, 5, 2, 5, 5, 5].entries())
      answers.push((await one(task, `j${n}`, throttle(max, 1e6)))[0])
    expect(answers.join("")).toBe("ssstsst")
  })

  test("throttle: the highest max is one that a call can keep", async () => {
    const task = bench.task()
    const most = 10_000
    for (let n = 0; n < 20; n++) {
      const jobs = Array.from({ length: 500 }, (_, i) => ({ id: `${n}.${i}`, terms: throttle(most, 1e6) }))
      const call = task.calls.enqueue(task.next("e"), jobs)
      // Past the harness, whose look at all jobs after each call is not what is tested here.
      const reply = await bench.store.run(call.script.source, call.keys, call.args)
      expect(call.script.reply(reply)).toMatchObject({ words: "s".repeat(500) })
    }
    const last = task.calls.enqueue(task.next("e"), [{ id: "late", terms: throttle(most, 1e6) }])
    const reply = await bench.store.run(last.script.source, last.keys, last.args)
    expect(last.script.reply(reply)).toMatchObject({ words: "t" })
  }, 60_000)

  test("debounce: the earlier job is cancelled by the call that stores the later one", async () => {
    const task = bench.task()
    expect(await one(task, "a", debounce(5000), { headers: '{"h":1}' })).toBe("s")
    const before = task.state!.records.get("a")!
    expect(before).toMatchObject({ state: "d", eligible: String(Number(before.created) + 5000) })
    const call = task.calls.enqueue(task.next("e"), [{ id: "b", terms: debounce(9000), data: '"b"' }])
    const reply = await task.fresh(call)
    expect(reply).toMatchObject({ words: "b", notes: ["a"] })
    expect(reply.heads).toEqual([expect.stringMatching(/^d,.*\n\n.*\n\n\{"h":1\}\n$/)])
    const { records, cancelled, delayed, stats } = task.state!
    expect(records.get("a")).toMatchObject({ state: "x", outcome: '"debounced"', attempt: "" })
    expect(cancelled).toHaveLength(1)
    expect([...delayed.keys()]).toEqual([expect.stringMatching(/^b\t/)])
    expect(stats.get("cancelled_delayed")).toBe("1")
    const told = task.ledger.events.map(({ name, id, fields }) => [name, id, fields.reason])
    expect(told).toEqual([["cancelled", "a", '"debounced"']])
    // Sent again it answers the same, but for what has been told of the record since.
    expect(await task.fresh(call)).toMatchObject({
      words: "b",
      notes: ["a"],
      heads: [expect.stringMatching(/^x,/)],
    })
    expect(task.state!.records.size).toBe(2)
  })

  test("debounce: jobs of one call replace one another, and each of them is stored and told of", async () => {
    const task = bench.task()
    const long = JSON.stringify("l".repeat(2000))
    const jobs = Array.from({ length: 6 }, (_, i) => ({ id: `j${i}`, terms: debounce(5000), data: long }))
    const { words, notes, heads } = await enqueue(task, ...jobs, {
      id: "x",
      terms: debounce(5000, { key: "other" }),
    })
    expect(words).toBe("sbbbbbs")
    expect(notes).toEqual(["j0", "j1", "j2", "j3", "j4"])
    expect(heads).toHaveLength(5)
    const states = [...task.state!.records].map(([id, r]) => `${id}${r!.state}`)
    expect(states.sort()).toEqual(["j0x", "j1x", "j2x", "j3x", "j4x", "j5d", "xd"])
    expect(task.state!.cancelled.map((entry) => entry.split("\t")[0])).toEqual(["j4", "j3", "j2", "j1", "j0"])
    expect(task.state!.stats.get("dispatched")).toBe("7")
  })

  test.each([0, 2])(
    "debounce: of replaced jobs %i are kept, as the task keeps cancelled ones",
    async (keep) => {
      const task = bench.task()
      const long = JSON.stringify("l".repeat(2000))
      await one(task, "first", debounce(5000, { keep }), { data: long })
      const jobs = Array.from({ length: 5 }, (_, i) => ({
        id: `j${i}`,
        terms: debounce(5000, { keep }),
        data: long,
      }))
      expect((await enqueue(task, ...jobs)).words).toBe("bbbbb")
      expect([...task.state!.records.keys()].sort()).toEqual(keep === 0 ? ["j4"] : ["j2", "j3", "j4"])
      expect(task.state!.stats.get("cancelled_delayed")).toBe("5")
    },
  )

  test("debounce: maxWait counts from the first one that was replaced, and then the job begins at once", async () => {
    const task = bench.task()
    const due = (id: string) => Number(task.state!.records.get(id)!.eligible)
    await one(task, "a", debounce(5000, { maxWait: 5030 }))
    const begun = Number(task.state!.records.get("a")!.created)
    expect(due("a")).toBe(begun + 5000)
    await bench.pass(35)
    expect(await one(task, "b", debounce(5000, { maxWait: 5030 }))).toBe("b a")
    expect(due("b")).toBe(begun + 5030)
    expect(await one(task, "c", debounce(5000, { maxWait: 30 }))).toBe("b b")
    expect(task.state!.records.get("c")!.state).toBe("w")
    expect(await keysOf(task, "debounce")).toEqual([])
    expect(await one(task, "d", debounce(5000, { maxWait: 30 }))).toBe("s")
  })

  test("debounce: a job that is due, runs, waits for its retry, or was cancelled is replaced no more", async () => {
    const task = bench.task()
    await one(task, "a", debounce(20))
    await bench.pass(25)
    expect(await keysOf(task, "debounce")).toEqual([])
    expect(await one(task, "b", debounce(5000))).toBe("s")
    await task.fresh(task.calls.cancel(task.next("c"), "b"))
    expect(await one(task, "c", debounce(5000))).toBe("s")
    await task.fresh(task.calls.upkeep(task.next("u")))
    const [held] = await task.claim()
    expect(held!.id).toBe("a")
    const retry = { ...held!, kind: "retried" as const, body: `100000\n"m"\n{}` }
    await task.fresh(task.calls.settle(task.next("s"), [retry]))
    // As if its key had outlived its time.
    const nonce = task.state!.records.get("a")!.nonce
    await task.command("SET", `${task.keys.base}debounce:k`, `a\t${nonce}\t5`, "PX", "60000")
    expect(await one(task, "d", debounce(5000))).toBe("s")
    expect(task.state!.records.get("a")!.state).toBe("d")
  })

  const ways: Readonly<Record<string, (task: TaskBench) => Promise<unknown>>> = {
    ...Object.fromEntries(
      (["completed", "failed", "cancelled"] as Kind[]).map((kind) => [
        kind,
        async (task: TaskBench) =>
          task.fresh(task.calls.settle(task.next("s"), [{ ...(await task.claim())[0]!, kind }])),
      ]),
    ),
    "completed, and not kept": async (task) =>
      task.fresh(
        task.calls.settle(task.next("s"), [{ ...(await task.claim())[0]!, kind: "completed" }], {
          keepCompleted: 0,
        }),
      ),
    "cancelled while it waits": (task) => task.fresh(task.calls.cancel(task.next("c"), "a")),
    "cancelled while it runs": async (task) => {
      const [held] = await task.claim()
      await task.fresh(task.calls.cancel(task.next("c"), "a"))
      await task.fresh(task.calls.settle(task.next("s"), [{ ...held!, kind: "completed" }]))
    },
    "stalled too often": async (task) => {
      await task.claim(1, 1)
      await bench.pass(5)
      await task.fresh(task.calls.upkeep(task.next("u"), { stalls: 0 }))
    },
  }

  test.each(Object.entries(ways))("deduplicate: the key goes with the job that is %s", async (_, end) => {
    const task = bench.task()
    expect(await one(task, "a", dedupe())).toBe("s")
    expect(await one(task, "b", dedupe())).toBe("u a")
    await end(task)
    expect(await keysOf(task, "dedupe")).toEqual([])
    expect(await one(task, "c", dedupe())).toBe("s")
  })

  const detours: Readonly<Record<string, (task: TaskBench) => Promise<unknown>>> = {
    "handed back": async (task) =>
      task.fresh(task.calls.settle(task.next("s"), [{ ...(await task.claim())[0]!, kind: "released" }])),
    retried: async (task) =>
      task.fresh(task.calls.settle(task.next("s"), [{ ...(await task.claim())[0]!, kind: "retried" }])),
    recovered: async (task) => {
      await task.claim(1, 1)
      await bench.pass(5)
      await task.fresh(task.calls.upkeep(task.next("u"), { stalls: 3 }))
    },
  }

  test.each(Object.entries(detours))(
    "deduplicate: the key stays with the job that is %s",
    async (_, happens) => {
      const task = bench.task()
      await one(task, "a", dedupe())
      await happens(task)
      expect(await one(task, "b", dedupe())).toBe("u a")
    },
  )

  test("deduplicate: a failed job that is given another life stands for others again", async () => {
    const task = bench.task()
    await one(task, "a", dedupe())
    await task.fresh(task.calls.settle(task.next("s"), [{ ...(await task.claim())[0]!, kind: "failed" }]))
    await task.fresh(task.calls.revive(task.next("v"), [{ id: "a" }]))
    expect(await one(task, "b", dedupe())).toBe("u a")
    await task.fresh(task.calls.cancel(task.next("c"), "a"))
    expect(await keysOf(task, "dedupe")).toEqual([])
  })

  test("deduplicate: jobs of one call see one another, in the states in which they are stored", async () => {
    const task = bench.task()
    const { words, notes } = await enqueue(
      task,
      { id: "a", terms: dedupe("d") },
      { id: "b", terms: dedupe("d"), delay: 5000 },
      { id: "c", terms: dedupe("d") },
      { id: "d", terms: dedupe("w") },
      { id: "e", terms: dedupe("a") },
      { id: "f", terms: dedupe("wda", "other") },
    )
    expect([words, notes]).toEqual(["ssuuss", ["b", "a"]])
  })

  test("deduplicate: what is left of jobs that are gone holds nobody up, and is taken away", async () => {
    const task = bench.task()
    await one(task, "a", dedupe())
    const key = `${task.keys.base}dedupe:k`
    await task.command("DEL", `${task.keys.base}job:a`)
    await task.command("RPOP", task.keys.waiting)
    await task.command("HINCRBY", task.keys.stats, "dispatched", "-1")
    task.lives.delete("a")
    task.state = undefined
    expect(await one(task, "b", dedupe())).toBe("s")
    expect(await task.command("ZRANGE", key, "0", "-1")).toEqual(["b"])
  })

  test("deduplicate: however many jobs live under a key, a dispatch looks at 64 of them", async () => {
    const task = bench.task()
    const jobs = Array.from({ length: 300 }, (_, i) => ({ id: `j${i}`, terms: dedupe("d") }))
    await enqueue(task, ...jobs)
    const [held] = await task.claim()
    expect(held!.id).toBe("j0")
    expect(await one(task, "late", dedupe("a"))).toBe("u j0")
    expect(await one(task, "later", dedupe("w"))).toBe("u j299")
    expect(heldOf(await task.fresh(task.calls.settle(task.next("s"), [], { want: 1 })))[0]!.id).toBe("j1")
  })

  test("a key of another type is refused before anything is stored", async () => {
    for (const [kind, terms] of [
      ["throttle", throttle(1, 1000)],
      ["dedupe", dedupe()],
    ] as const) {
      const task = bench.task()
      await task.command("SET", `${task.keys.base}${kind}:k`, "x")
      const call = task.calls.enqueue(task.next("e"), [{ id: "plain" }, { id: "a", terms }])
      const { store } = bench
      await expect(store.run(call.script.source, call.keys, call.args)).rejects.toThrow("WRONGTYPE")
      expect(await task.command("EXISTS", `${task.keys.base}job:plain`, task.keys.waiting)).toBe(0)
      await task.command("DEL", `${task.keys.base}${kind}:k`)
    }
  })
})
