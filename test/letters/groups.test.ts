import { describe, expect, it, test } from "vitest"
import { errorKey, normalised } from "../../src/manage/errors-alike.ts"
import { onBothHosts } from "../support/hosts.ts"
import { graveyards } from "./graveyard.ts"

onBothHosts("inspect().groups()", (host) => {
  const graveyard = graveyards(host)

  it("groups failed jobs by task, type and normalised message, with counts, times and samples", async () => {
    const yard = graveyard()
    const [one, two] = [yard.task("one"), yard.task("two")]
    await yard.app.start()
    await yard.bury(
      one,
      Array.from({ length: 7 }, (_, i) => ({ id: `a${i}`, fail: `order ${i} of user "u${i}" failed` })),
    )
    await yard.bury(one, [{ id: "b", fail: 'order 5 of user "x" failed', type: "PaymentError" }])
    await yard.bury(two, [{ id: "c", fail: 'order 9 of user "y" failed' }])
    const message = "order <n> of user <text> failed"
    const groups = await yard.app.inspect().groups()
    const at = async (id: string) => (await yard.app.inspect().find(id))!.finishedAt
    expect(groups[0]).toEqual({
      task: "one",
      error: { type: "Error", message },
      count: 7,
      firstSeen: await at("a0"),
      lastSeen: await at("a6"),
      samples: ["a6", "a5", "a4", "a3", "a2"],
    })
    expect(
      groups
        .slice(1)
        .map(({ task, error, count }) => [task, error.type, count])
        .sort(),
    ).toEqual([
      ["one", "PaymentError", 1],
      ["two", "Error", 1],
    ])
    expect(await yard.app.inspect().groups({ task: "two" })).toHaveLength(1)
  })

  it("reads all that is kept, page by page", async () => {
    const yard = graveyard({ retention: { failed: { maxItems: 1000 } } })
    const work = yard.task("work", { concurrency: 100 })
    await yard.app.start()
    const handles = work.dispatchMany(Array.from({ length: 330 }, (_, i) => ({ data: { fail: `at ${i}` } })))
    await Promise.all(handles.map(({ result }) => result.catch(() => undefined)))
    expect(await yard.app.inspect().groups()).toMatchObject([{ count: 330, error: { message: "at <n>" } }])
  })

  it("forgets what was retried or discarded", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, [
      { id: "a", fail: "x" },
      { id: "b", fail: "x" },
      { id: "c", fail: "x" },
    ])
    yard.healed = true
    await yard.app.deadLetters.retry("a")
    await yard.app.deadLetters.discard("b")
    expect(await yard.app.inspect().groups()).toMatchObject([{ count: 1, samples: ["c"] }])
  })

  it("takes { task } alone", async () => {
    const { app } = graveyard()
    await expect(app.inspect().groups({ tasks: "x" } as never)).rejects.toThrow(/did you mean "task"/)
  })
})

describe("what is left of a message", () => {
  test.each([
    ["timeout after 30000 ms", "timeout after <n> ms"],
    ["connect ECONNREFUSED 10.0.0.17:5432", "connect ECONNREFUSED <n>"],
    ["user 550e8400-e29b-41d4-a716-446655440000 is unknown", "user <uuid> is unknown"],
    ["no job k3j2h1g4f5d6s7a8 here", "no job <id> here"],
    ["at 0xDEADBEEF and 5f2a9c01d3", "at <hex> and <hex>"],
    [`can't read "a b.txt" of 'me' or \`you\``, "can't read <text> of <text> or <text>"],
    ["it's the user's fault", "it's the user's fault"],
    ["took 1.5s, not 2,000", "took <n>s, not <n>"],
    ["two\n  lines\tof it", "two lines of it"],
    ["at 2026-11-23T10:00:00Z", "at <n>-<n>-<n>T<n>Z"],
    ["defaced facade", "defaced facade"],
    ["", ""],
  ])("%j is %j", (message, rest) => {
    expect(normalised(message)).toBe(rest)
  })

  test("is bounded, and soon found, however long and strange the message", () => {
    for (const part of ["x", '"', "'", "`", "a1", "-", "0x", " ", "1,"]) {
      const before = performance.now()
      expect(normalised(part.repeat(100_000)).length).toBeLessThanOrEqual(256)
      expect(performance.now() - before).toBeLessThan(500)
    }
  })

  test("of an error that cannot be read is nothing", () => {
    for (const text of ["", "nonsense", "5", "null", '{"name":5,"message":{}}'])
      expect(errorKey(text)).toEqual({ type: "Error", message: "" })
  })
})
