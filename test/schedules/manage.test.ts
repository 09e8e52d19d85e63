import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { App, ScheduleOptions } from "../../src/index.ts"
import { Cluster, midnight } from "./support.ts"

let cluster: Cluster
let ran: { at: number; data: unknown; task: string }[]
beforeEach(() => {
  cluster = new Cluster()
  ran = []
})
afterEach(async () => {
  await cluster.end()
  expect(cluster.errors).toEqual([])
})

async function start(schedules: Record<string, Partial<ScheduleOptions>>): Promise<App> {
  const app = cluster.app()
  for (const task of ["t", "u"])
    app.task(task, { handler: (data) => void ran.push({ at: cluster.clock.now() - midnight, data, task }) })
  for (const [name, options] of Object.entries(schedules))
    app.schedule(name, { task: "t", ...(options.cron ? {} : { every: "1s" }), ...options } as ScheduleOptions)
  return cluster.start(app)
}

/** In seconds; a hop between two timers may take a ms. */
const times = () => ran.map(({ at }) => Math.round(at / 100) / 10)
const get = (app: App, name = "s") => cluster.ask(app.schedules.get(name))

describe("registering", () => {
  test("an unchanged schedule keeps its next run", async () => {
    const first = await start({ s: { every: "1h" } })
    await cluster.pass(5000)
    await start({ s: { every: "1h" } })
    expect((await get(first))?.next).toBe(midnight + 3_600_000)
  })

  test("a changed one is updated: with other times it begins anew, with the same ones its next run stays", async () => {
    const first = await start({ s: { every: "1h" } })
    await cluster.pass(5000)
    await start({ s: { every: "1h", data: "new", overlap: false } })
    expect(await get(first)).toMatchObject({ next: midnight + 3_600_000, data: "new", overlap: false })
    const now = cluster.clock.now()
    await start({ s: { every: "2h" } })
    expect(await get(first)).toMatchObject({ next: now + 7_200_000, every: 7_200_000 })
  })

  test("processes that already run go by the change", async () => {
    await start({ s: {} })
    await cluster.pass(1000)
    const second = await start({ s: { data: "new" } })
    await cluster.pass(1000)
    expect(ran.map(({ data }) => data)).toEqual([undefined, "new"])
    await cluster.close(second)
  })

  test("what update() made lasts until the code says something new", async () => {
    const first = await start({ s: { every: "1h" } })
    await cluster.ask(first.schedules.update("s", { every: "30m" }))
    await cluster.close(first)
    const second = await start({ s: { every: "1h" } })
    expect((await get(second))?.every).toBe(1_800_000)
    await start({ s: { every: "3h" } })
    expect((await get(second))?.every).toBe(10_800_000)
  })
})

describe("list and get", () => {
  test("tell all of a schedule", async () => {
    const app = await start({
      s: { data: { a: 1 }, jitter: 0 },
      c: { cron: "0 3 * * *", timezone: "Asia/Tokyo" },
    })
    await cluster.pass(2100)
    const c = {
      name: "c",
      task: "t",
      cron: "0 3 * * *",
      timezone: "Asia/Tokyo",
      data: undefined,
      onMissed: "skip",
      overlap: true,
      jitter: 0,
      paused: false,
      orphaned: false,
      next: midnight + 18 * 3_600_000,
      fired: 0,
      missed: 0,
      skipped: 0,
    }
    const s = {
      ...c,
      name: "s",
      every: 1000,
      cron: undefined,
      timezone: undefined,
      data: { a: 1 },
      next: midnight + 3000,
      last: { slot: midnight + 2000, at: midnight + 2000, id: "s@2026-11-23T00:00:02.000Z" },
      fired: 2,
    }
    expect(await cluster.ask(app.schedules.list())).toEqual([c, s])
    expect(await get(app, "nope")).toBeUndefined()
  })

  test("one that vanished from code is listed as orphaned, not deleted, and fires no more until it is back", async () => {
    const first = await start({ s: {}, gone: {} })
    await cluster.pass(1000)
    await cluster.close(first)
    const second = await start({ s: {} })
    const list = await cluster.ask(second.schedules.list())
    expect(list.map(({ name, orphaned }) => [name, orphaned])).toEqual([
      ["gone", true],
      ["s", false],
    ])
    const fired = (await get(second, "gone"))!.fired
    await cluster.pass(3000)
    expect((await get(second, "gone"))!.fired).toBe(fired)
    const third = await start({ gone: {} })
    await cluster.pass(2000)
    expect((await get(third, "gone"))!).toMatchObject({ orphaned: false })
    expect((await get(third, "gone"))!.fired).toBeGreaterThan(fired)
  })

  test("more schedules than a page", async () => {
    const all = Object.fromEntries(Array.from({ length: 230 }, (_, i) => [`s${i}`, { every: "1h" } as const]))
    const app = await start(all)
    for (let i = 0; i < 20; i++) await cluster.settle()
    const list = app.schedules.list()
    for (let i = 0; i < 5; i++) await cluster.settle()
    expect((await list).map(({ name }) => name)).toEqual(Object.keys(all).sort())
  })
})

describe("pause and resume", () => {
  test("nothing fires while it is paused, in any process; what passed meanwhile is not missed", async () => {
    const first = await start({ s: { onMissed: "catch-up" } })
    const second = await start({ s: { onMissed: "catch-up" } })
    await cluster.pass(1000)
    await cluster.ask(second.schedules.pause("s"))
    await cluster.pass(3000)
    expect(await get(first)).toMatchObject({ paused: true })
    expect((await get(first))!.next).toBeUndefined()
    expect(times()).toEqual([1])
    await cluster.ask(first.schedules.resume("s"))
    await cluster.pass(1200)
    expect(times()).toEqual([1, 5])
    expect((await get(first))!.missed).toBe(0)
  })

  test("a pause outlives restarts", async () => {
    const first = await start({ s: {} })
    await cluster.ask(first.schedules.pause("s"))
    await cluster.close(first)
    const second = await start({ s: { data: "changed" } })
    await cluster.pass(3000)
    expect(ran).toEqual([])
    expect((await get(second))!.paused).toBe(true)
  })

  test("twice changes nothing", async () => {
    const app = await start({ s: {} })
    await cluster.ask(app.schedules.resume("s"))
    await cluster.pass(1000)
    await cluster.ask(app.schedules.pause("s"))
    await cluster.ask(app.schedules.pause("s"))
    await cluster.pass(1000)
    expect(times()).toEqual([1])
  })
})

describe("update", () => {
  test("is heard at once by every process", async () => {
    const first = await start({ s: { every: "1h" } })
    await start({ s: { every: "1h" } })
    await cluster.pass(2000)
    await cluster.ask(first.schedules.update("s", { every: "1s", data: 5, task: "u" }))
    await cluster.pass(2000)
    expect(ran).toEqual([
      { at: 3000, data: 5, task: "u" },
      { at: 4000, data: 5, task: "u" },
    ])
  })

  test("from every to cron and back; a time zone alone", async () => {
    const app = await start({ s: {} })
    await cluster.ask(app.schedules.update("s", { cron: "0 12 * * *" }))
    expect(await get(app)).toMatchObject({ cron: "0 12 * * *", timezone: "UTC", next: midnight + 43_200_000 })
    await cluster.ask(app.schedules.update("s", { timezone: "Asia/Tokyo" }))
    expect(await get(app)).toMatchObject({ cron: "0 12 * * *", next: midnight + 10_800_000 })
    await cluster.ask(app.schedules.update("s", { every: "5s" }))
    expect(await get(app)).toMatchObject({ every: 5000, next: midnight + 5000 })
    expect((await get(app))!.cron).toBeUndefined()
  })

  test.each<[string, object, RegExp]>([
    ["nonsense", { cron: "nonsense" }, /schedule "s": update: cron "nonsense" cannot be read/],
    ["both", { every: "1s", cron: "* * * * *" }, /give every or cron, not both/],
    ["an unknown name", { evry: 1 }, /there is no option "evry"/],
    ["an unknown task", { task: "nope" }, /task "nope" is not declared/],
  ])("refuses %s, and changes nothing", async (_, changes, message) => {
    const app = await start({ s: {} })
    const before = await get(app)
    await expect(
      cluster.ask(app.schedules.update("s", changes).catch((e: Error) => Promise.resolve(e))),
    ).resolves.toMatchObject({
      message: expect.stringMatching(message),
    })
    expect(await get(app)).toEqual(before)
  })
})

describe("remove", () => {
  test("forgets a schedule in every process, until code declares it anew", async () => {
    const first = await start({ s: {} })
    await start({ s: {} })
    await cluster.pass(1000)
    expect(await cluster.ask(first.schedules.remove("s"))).toBe(true)
    expect(await cluster.ask(first.schedules.remove("s"))).toBe(false)
    await cluster.pass(3000)
    expect(times()).toEqual([1])
    expect(await get(first)).toBeUndefined()
    const now = cluster.clock.now() - midnight
    await start({ s: {} })
    await cluster.pass(1000)
    expect(times()).toEqual([1, (now + 1000) / 1000])
  })
})

describe("trigger", () => {
  test("dispatches a job now, besides the slots, even while it is paused", async () => {
    const app = await start({ s: { every: "1h", data: 9 } })
    await cluster.ask(app.schedules.pause("s"))
    const id = await cluster.ask(app.schedules.trigger("s"))
    expect(id).toMatch(/^[a-z0-9]{16}$/)
    expect(ran).toMatchObject([{ data: 9, task: "t" }])
    expect(await get(app)).toMatchObject({ fired: 0, paused: true })
  })
})

test.each(["pause", "resume", "trigger", "update"] as const)(
  "%s of a schedule that is none says so",
  async (what) => {
    const app = await start({})
    const call = what === "update" ? app.schedules.update("nope", {}) : app.schedules[what]("nope")
    const error = await cluster.ask(Promise.resolve(call).catch((thrown: Error) => thrown))
    expect(error).toMatchObject({
      code: "INVALID",
      message:
        'there is no schedule "nope"; declare it with taskora.schedule() and start the app, or look at taskora.schedules.list()',
    })
  },
)
