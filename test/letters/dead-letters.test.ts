import { expect, it } from "vitest"
import { onBothHosts, until } from "../support/hosts.ts"
import { graveyards, ids } from "./graveyard.ts"

onBothHosts("dead letters", (host) => {
  const graveyard = graveyards(host)
  const many = (count: number, fail: string, from = 0) =>
    Array.from({ length: count }, (_, i) => ({ id: `${fail}${i + from}`, fail }))

  it("are the failed jobs, as JobInfo, the newest of each task first", async () => {
    const yard = graveyard()
    const [one, two] = [yard.task("one"), yard.task("two")]
    await yard.app.start()
    await one.dispatch({}).result
    await yard.bury(one, many(3, "a"))
    await yard.bury(two, many(2, "b"))
    const { deadLetters } = yard.app
    const all = await deadLetters.list()
    expect(ids(all)).toEqual(["a2", "a1", "a0", "b1", "b0"])
    expect(all[0]).toEqual(await yard.app.inspect().find("a2"))
    expect(ids(await deadLetters.list({ task: "two" }))).toEqual(["b1", "b0"])
  })

  it("are listed by the class of their error, or by what a group says", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, [
      { id: "a", fail: "order 1 is gone" },
      { id: "b", fail: "card 5 refused", type: "PaymentError" },
      { id: "c", fail: "card 7 refused", type: "PaymentError" },
      { id: "d", fail: "no such card", type: "PaymentError" },
    ])
    const { deadLetters } = yard.app
    expect(ids(await deadLetters.list({ error: "PaymentError" }))).toEqual(["d", "c", "b"])
    expect(ids(await deadLetters.list({ error: "Error" }))).toEqual(["a"])
    expect(ids(await deadLetters.list({ error: "Paym" }))).toEqual([])
    const [group] = await yard.app.inspect().groups()
    expect(group).toMatchObject({ error: { type: "PaymentError", message: "card <n> refused" }, count: 2 })
    expect(ids(await deadLetters.list({ error: group!.error }))).toEqual(["c", "b"])
  })

  it("come in pages that neither repeat nor skip, while some are retried and others fail", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, many(20, "a"))
    const { deadLetters } = yard.app
    const seen: string[] = []
    let page = await deadLetters.list({ limit: 6 })
    expect(page).toHaveLength(6)
    seen.push(...ids(page))
    await deadLetters.discard("a17")
    await deadLetters.discard("a10")
    await yard.bury(work, many(3, "z"))
    for (; page.nextCursor !== undefined; seen.push(...ids(page)))
      page = await deadLetters.list({ limit: 6, cursor: page.nextCursor })
    const left = many(20, "a").map(({ id }) => id)
    expect(seen).toEqual(left.reverse().filter((id) => id !== "a10"))
  })

  it("of each filter come in pages of the wanted size", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    const types = ["PaymentError", "Error"]
    await yard.bury(
      work,
      Array.from({ length: 9 }, (_, i) => ({ id: `a${i}`, fail: "no", type: types[i % 2]! })),
    )
    const sizes: string[][] = []
    let cursor: string | undefined
    do {
      const page = await yard.app.deadLetters.list({
        error: "PaymentError",
        limit: 2,
        ...(cursor === undefined ? {} : { cursor }),
      })
      sizes.push(ids(page))
      cursor = page.nextCursor
    } while (cursor !== undefined)
    expect(sizes.filter((page) => page.length > 0)).toEqual([["a8", "a6"], ["a4", "a2"], ["a0"]])
  })

  it("are all retried in batches, those that failed first before the others, and counted by task", async () => {
    const yard = graveyard({ retention: { failed: { maxItems: 1000 } } })
    const [one, two] = [yard.task("one", { concurrency: 100 }), yard.task("two")]
    await yard.app.start()
    const handles = one.dispatchMany(Array.from({ length: 250 }, () => ({ data: { fail: "no" } })))
    await Promise.all(handles.map(({ result }) => result.catch(() => undefined)))
    await yard.bury(two, [{ id: "b", fail: "no" }])
    const failed = ids(await yard.app.deadLetters.list({ task: "one", limit: 500 })).reverse()
    expect(failed).toHaveLength(250)
    await yard.app.close()
    const { app } = yard.other("one")
    app.task("two")
    expect(await app.deadLetters.retryAll()).toEqual({ retried: 251, tasks: { one: 250, two: 1 } })
    expect(ids(await app.inspect().waiting({ task: "one", limit: 500 }))).toEqual(failed)
    expect(await app.deadLetters.retryAll()).toEqual({ retried: 0, tasks: {} })
    expect((await app.inspect().stats()).failed).toBe(0)
  })

  it("are retried by task and by error, and others are left", async () => {
    const yard = graveyard()
    const [one, two] = [yard.task("one"), yard.task("two")]
    await yard.app.start()
    const orders = [
      { fail: "card 5 refused", type: "PaymentError" },
      { fail: "unknown card", type: "PaymentError" },
      { fail: "x" },
    ]
    await yard.bury(
      one,
      orders.map((order, i) => ({ id: `a${i}`, ...order })),
    )
    await yard.bury(
      two,
      orders.map((order, i) => ({ id: `b${i}`, ...order })),
    )
    yard.healed = true
    const { deadLetters } = yard.app
    const refused = { type: "PaymentError", message: "card <n> refused" }
    expect(await deadLetters.retryAll({ task: "one", error: refused })).toMatchObject({ retried: 1 })
    expect(ids(await deadLetters.list()).sort()).toEqual(["a1", "a2", "b0", "b1", "b2"])
    expect(await deadLetters.retryAll({ error: "PaymentError" })).toEqual({
      retried: 3,
      tasks: { one: 1, two: 2 },
    })
    expect(ids(await deadLetters.list()).sort()).toEqual(["a2", "b2"])
  })

  it("that fail again while all are retried are left alone", async () => {
    const yard = graveyard({ retention: { failed: { maxItems: 1000 } } })
    const work = yard.task("work", { concurrency: 100 })
    await yard.app.start()
    const handles = work.dispatchMany(Array.from({ length: 300 }, () => ({ data: { fail: "again" } })))
    await Promise.all(handles.map(({ result }) => result.catch(() => undefined)))
    // They fail at once, while the later batches are still to come.
    expect(await yard.app.deadLetters.retryAll()).toMatchObject({ retried: 300 })
    const inspector = yard.app.inspect()
    await until(async () => (await inspector.stats()).failed === 300, "all failed again")
    expect((await inspector.stats()).transitions).toMatchObject({ revived: 300, failed: 600, started: 600 })
  })

  it("are discarded for good, with all that belongs to them", async () => {
    const yard = graveyard()
    const work = yard.app.task<string, void>("work", (_data, ctx) => {
      ctx.log.info("hello")
      ctx.progress(5)
      throw new Error("no")
    })
    await yard.app.start()
    for (const jobId of ["a", "b"])
      await work.dispatch("x".repeat(2000), { jobId }).result.catch(() => undefined)
    const { deadLetters } = yard.app
    expect(await deadLetters.discard("a")).toBe("discarded")
    expect(await yard.app.inspect().find("a")).toBeUndefined()
    expect(ids(await deadLetters.list())).toEqual(["b"])
    expect(await deadLetters.discard("a")).toBe("unknown")
    expect(await deadLetters.retry("a")).toBe("unknown")
    expect((await yard.app.inspect().stats()).failed).toBe(1)
    // The id is free, and nothing is left of its first life.
    const again = work.dispatch("short", { jobId: "a" })
    await again
    expect(again.enqueued).toBe(true)
    await again.result.catch(() => undefined)
    expect((await again.getLogs()).map(({ message }) => message)).toEqual(["hello"])
  })

  it("that are none are not discarded", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    await work.dispatch({}, { jobId: "fine" }).result
    await work.dispatch({}, { jobId: "later", delay: "1h" })
    expect(await yard.app.deadLetters.discard("fine")).toBe("not failed")
    expect(await yard.app.deadLetters.discard("later")).toBe("not failed")
    expect(await yard.app.inspect().stats()).toMatchObject({ completed: 1, delayed: 1 })
  })

  it.each([
    ["list", { limt: 5 }, /there is no option "limt"; did you mean "limit"/],
    ["list", { limit: 501 }, /limit must be a whole number from 1 to 500, not 501/],
    ["list", { task: "other" }, /task "other" is not declared in this app/],
    ["list", { cursor: "nonsense" }, /cursor "nonsense" is none/],
    ["list", { error: "" }, /error is a class name or \{ type, message \}/],
    ["list", { error: { type: "E", mesage: "" } }, /there is no option "mesage"; did you mean "message"/],
    ["retryAll", { error: 5 }, /error must be an object, not 5/],
    ["retryAll", { limit: 5 }, /there is no option "limit"/],
    ["retryAll", { task: "other" }, /task "other" is not declared/],
  ] as const)("%s(%j) is refused in words", async (method, options, message) => {
    const yard = graveyard()
    yard.task("work")
    await expect(yard.app.deadLetters[method](options as never)).rejects.toThrow(message)
  })

  it.each(["retry", "discard"] as const)("%s() wants an id, and knows { task } alone", async (method) => {
    const { app } = graveyard()
    app.task("work")
    await expect(app.deadLetters[method]("")).rejects.toThrow(/the id must be a job's/)
    await expect(app.deadLetters[method]("a", { tsk: "work" } as never)).rejects.toThrow(
      /did you mean "task"/,
    )
    await expect(app.deadLetters[method]("a", { task: "other" })).rejects.toThrow(/"other" is not declared/)
  })

  it("of a closed app are not to be had", async () => {
    const { app } = graveyard()
    app.task("work")
    await app.start()
    await app.close()
    await expect(app.deadLetters.retryAll()).rejects.toMatchObject({ code: "CLOSED" })
    await expect(app.deadLetters.list()).rejects.toMatchObject({ code: "CLOSED" })
    await expect(app.clean({ state: "failed" })).rejects.toMatchObject({ code: "CLOSED" })
  })
})
