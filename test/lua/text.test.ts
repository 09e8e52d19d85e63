import { expect, test } from "vitest"
import { decodeRecord } from "../../src/store/record.ts"
import { onBothHosts } from "../support/hosts.ts"
import { benchOf } from "./harness.ts"

const ids = [
  ":{}*?[]\\",
  "job:{task}:1",
  "quotes \"'`",
  "a,b;c|d",
  "%d%s%%.-+^$()",
  "ünïcödé",
  "日本語のジョブ",
  "\u202Eright to left",
  "👩‍👩‍👧‍👦 family",
  "__proto__",
  "-1",
  "0",
  "1e309",
  "x".repeat(128),
  " spaces ",
]

/** Texts as they come from users, JSON-encoded as the engine encodes them. */
const texts = [
  "😀 \u0000 \u001f \u007f \u2028 \u2029",
  "line\nline\ttab\rreturn",
  '\\u0000 " \\ /',
  "\u{10FFFF}\uFFFD",
  "\ud800 lone",
  "%s %d %% \\n \\1",
  "a,b\\tc",
  "",
]

onBothHosts("text and numbers that hosts could treat otherwise", (host) => {
  const bench = benchOf(host)

  test.each(ids)("the id %j goes through every script", async (id) => {
    const task = bench.task()
    const other = `${id.slice(0, 100)}!`
    await task.fresh(
      task.calls.enqueue(task.next(), [
        { id, named: true },
        { id: other, delay: 60_000 },
      ]),
    )
    expect(await task.fresh(task.calls.enqueue(task.next(), [{ id, named: true }]))).toMatchObject({
      words: "d",
    })
    const [one] = await task.claim(2)
    expect(one!.id).toBe(id)
    await task.fresh(task.calls.renew(task.next(), [one!]))
    await task.fresh(task.calls.progress(task.next(), [one!]))
    await task.fresh(task.calls.log(task.next(), one!, ['"line"']))
    await task.fresh(task.calls.settle(task.next(), [{ ...one!, kind: "released" }]))
    const [again] = await task.claim(1, 1)
    await bench.pass(3)
    const { tasks } = await task.send(task.calls.upkeep(task.next()))
    expect(tasks).toMatchObject([{ stalled: [{ id }] }])
    const [last] = await task.claim(1)
    expect(Number(last!.token)).toBeGreaterThan(Number(again!.token))
    await task.fresh(task.calls.cancel(task.next(), other))
    await task.fresh(task.calls.settle(task.next(), [{ ...last!, kind: "completed" }], { keepCompleted: 1 }))
    expect(await task.send(task.calls.list("completed"))).toEqual([id])
    expect(new Set(task.ledger.events.map((event) => event.id))).toEqual(new Set([id, other]))
    expect(decodeRecord((await task.send(task.calls.fetch(id))).record)).toMatchObject({ state: "completed" })
  })

  test.each(texts.map((text) => JSON.stringify(text)))("the text %s comes back as it was", async (text) => {
    const task = bench.task()
    const headers = `{"h":${text}}`
    const ids = ["completes", "fails", "retries", "is cancelled", "is stopped"]
    await task.fresh(
      task.calls.enqueue(
        task.next(),
        ids.map((id) => ({ id, data: text, headers })),
      ),
    )
    const [completes, fails, retries, cancelled, stopped] = await task.claim(5)
    await task.fresh(task.calls.log(task.next(), completes!, [text]))
    await task.fresh(task.calls.progress(task.next(), [{ ...completes!, value: text }]))
    await task.fresh(task.calls.cancel(task.next(), stopped!.id, text))
    const failure = `${text}\n{"message":${text}}`
    const { reasons } = await task.fresh(
      task.calls.settle(task.next(), [
        { ...completes!, kind: "completed", body: text },
        { ...fails!, kind: "failed", body: failure },
        { ...retries!, kind: "retried", body: `9\n${failure}` },
        { ...cancelled!, kind: "cancelled", body: text },
        { ...stopped!, kind: "completed" },
      ]),
    )
    expect(reasons).toEqual([text, text])
    const fetched = await task.send(task.calls.fetch("completes"))
    expect(fetched).toMatchObject({ progress: text, logs: [text] })
    expect(decodeRecord(fetched.record)).toMatchObject({ data: text, headers, outcome: text })
    for (const id of ids)
      expect(decodeRecord(task.state!.texts.get(id)!)).toMatchObject({ data: text, headers })
    const told = task.ledger.events.map(({ fields }) => fields.result ?? fields.error ?? fields.reason)
    expect(told.filter((value) => value !== undefined)).toEqual(Array(6).fill(text))
  })

  test("data of 1 MiB, and a result of as much", async () => {
    const task = bench.task()
    const megabyte = JSON.stringify("ü😀".repeat(1_048_570 / 6))
    await task.fresh(task.calls.enqueue(task.next(), [{ id: "a", data: megabyte }]))
    const [one] = await task.claim(1)
    expect(task.state!.records.get("a")!.data).toBe(megabyte)
    await task.fresh(task.calls.settle(task.next(), [{ ...one!, kind: "completed", body: megabyte }]))
    const { record, result } = await task.send(task.calls.fetch("a"))
    expect(decodeRecord(record)!.data).toBe(megabyte)
    expect(result).toBe(megabyte)
  })

  test("times and orders near 2^53 stay whole numbers", async () => {
    const task = bench.task()
    const farthest = 2 ** 53 - 1
    const [now] = (await task.command("TIME")) as string[]
    const delay = farthest - (Number(now) + 1000) * 1000
    const { at } = await task.fresh(
      task.calls.enqueue(task.next(), [
        { id: "far", delay },
        { id: "high", priority: 2 ** 21 },
      ]),
    )
    expect(task.state!.records.get("far")!.eligible).toBe(String(at + delay))
    expect([...task.state!.delayed.values()]).toEqual([at + delay])
    expect(task.state!.priority.get("high")).toBe(1 - 2 ** 53)
    const [high] = await task.claim(1, delay)
    expect([...task.state!.active.values()][0]).toBeGreaterThan(2 ** 52)
    expect(task.state!.records.get("high")!.claimed).toMatch(/^\d{13}$/)
    const retry = { ...high!, kind: "retried" as const, body: `${2 ** 52}\n"m"\n{}` }
    await task.fresh(task.calls.settle(task.next(), [retry]))
    expect(task.state!.records.get("high")!.eligible).toMatch(/^\d{16}$/)
  })

  test("tokens, orders and seq beyond 2^31 and 2^32 go on rising", async () => {
    const task = bench.task()
    await task.dispatch("first")
    await task.command("HSET", task.keys.stats, "token", String(2 ** 52), "order", String(2 ** 32 - 2))
    await task.fresh(
      task.calls.enqueue(
        task.next(),
        [1, 2, 3].map((n) => ({ id: `r${n}`, priority: 1 })),
      ),
    )
    await task.command("HSET", task.keys.stats, "token", String(2 ** 52))
    expect(await task.claim(1)).toMatchObject([{ token: String(2 ** 52 + 1) }])
    expect(task.state!.stats.get("token")).toBe(String(2 ** 52 + 1))
  })
})
