import { expect, test } from "vitest"
import { decodeRecord } from "../../src/store/record.ts"
import { onBothHosts } from "../support/hosts.ts"
import { benchOf } from "./harness.ts"

onBothHosts("launch", (host) => {
  const bench = benchOf(host)

  test("leases the job where nothing waits, as a claim would have", async () => {
    const task = bench.task()
    const job = { id: "a", headers: '{"h":"1"}', data: "[1]" }
    const reply = await task.fresh(task.calls.launch(task.next(), job, { attempts: 5 }))
    expect(decodeRecord(reply.record!)).toMatchObject({
      state: "active",
      token: "1",
      attempt: 1,
      maxAttempts: 5,
      created: reply.at,
      eligible: reply.at,
      claimed: reply.at,
      headers: '{"h":"1"}',
      data: "[1]",
    })
    expect([task.state!.waiting, task.state!.wake]).toEqual([[], []])
    expect(task.ledger.count("active")).toBe(1)
    expect(reply.seq).toBe(1)
    const claimed = bench.task()
    await claimed.fresh(claimed.calls.enqueue(claimed.next(), [job]))
    await claimed.fresh(claimed.calls.settle(claimed.next("w"), [], { want: 1, attempts: 5 }))
    const withoutTimes = (text: string) => text.replace(/\d{13}/g, "now")
    expect(withoutTimes(reply.record!)).toBe(withoutTimes(claimed.state!.texts.get("a")!))
  })

  test.each([
    ["a plain job", {}],
    ["a job with a priority", { priority: 1 }],
  ])("waits in its place behind %s", async (_what, options) => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [{ id: "first", ...options }]))
    const reply = await task.fresh(task.calls.launch(task.next("l"), { id: "second" }))
    expect(reply.record).toBeUndefined()
    expect(await task.claim(2)).toMatchObject([{ id: "first" }, { id: "second" }])
  })

  test("wakes somebody where it must wait for a job that is there no more", async () => {
    const task = bench.task()
    await task.fresh(task.calls.enqueue(task.next(), [{ id: "gone", priority: 1 }]))
    await task.fresh(task.calls.cancel(task.next("c"), "gone"))
    await task.command("DEL", task.keys.wake)
    await task.fresh(task.calls.launch(task.next("l"), { id: "next" }))
    expect(task.state!.wake).toEqual(["w"])
    expect(await task.claim(1)).toMatchObject([{ id: "next" }])
  })

  test("long data lies apart, and is not sent back", async () => {
    const task = bench.task()
    const data = JSON.stringify("x".repeat(2000))
    const reply = await task.fresh(task.calls.launch(task.next(), { id: "a", data }))
    expect(reply.record!.endsWith("\n\u0001")).toBe(true)
    expect(task.state!.datas.get("a")).toBe(data)
  })

  test("a call that comes after the question about it leaves nothing, least of all a lease that nobody holds", async () => {
    const task = bench.task()
    const at = task.next("l")
    expect((await task.fresh(task.calls.launch(at, { id: "a" }, { asking: true }))).record).toBeUndefined()
    expect((await task.fresh(task.calls.launch(at, { id: "a" }))).record).toBeUndefined()
    expect([task.state!.records.size, task.state!.active.size]).toEqual([0, 0])
  })

  test("a question about a call tells what it did", async () => {
    const task = bench.task()
    const at = task.next("l")
    const ask = () => task.fresh(task.calls.launch(at, { id: "a" }, { asking: true }))
    const { record } = await task.fresh(task.calls.launch(at, { id: "a" }, { lease: 1 }))
    expect((await ask()).record).toBe(record)
    await bench.pass(3)
    await task.fresh(task.calls.upkeep(task.next("up")))
    expect((await ask()).record).toBe("")
  })
})
