import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { App, ScheduleOptions } from "../../src/index.ts"
import { Cluster, midnight } from "./support.ts"

let cluster: Cluster
beforeEach(() => {
  cluster = new Cluster()
})
afterEach(async () => {
  await cluster.end()
  expect(cluster.errors).toEqual([])
})

interface Ran {
  readonly at: number
  readonly id: string
  readonly data: unknown
}

/** An app with one schedule, started; `ran` hears of every job. */
async function start(
  options: Partial<ScheduleOptions>,
  ran: Ran[] = [],
  work?: () => Promise<void>,
): Promise<App> {
  const app = cluster.app()
  const handler = async (data: unknown, ctx: { id: string }) => {
    ran.push({ at: cluster.clock.now() - midnight, id: ctx.id, data })
    await work?.()
  }
  app.task("t", { handler, concurrency: 100 })
  app.schedule("s", { task: "t", every: "1s", ...options } as ScheduleOptions)
  await begin(app)
  return app
}

async function begin(app: App): Promise<void> {
  const started = app.start()
  await cluster.settle()
  await started
}

const seconds = (ran: readonly Ran[]) => ran.map(({ at }) => at / 1000)
/** The slots, in seconds after midnight, by the jobs' ids. */
const slots = (ran: readonly Ran[]) => ran.map(({ id }) => (Date.parse(id.split("@")[1]!) - midnight) / 1000)

describe("a schedule with every", () => {
  test("fires one job a slot, named after schedule and slot, from one interval after its registration on", async () => {
    const ran: Ran[] = []
    await start({ data: { n: 7 } }, ran)
    await cluster.pass(3500)
    expect(ran).toEqual(
      [1, 2, 3].map((k) => ({ at: 1000 * k, id: `s@2026-11-23T00:00:0${k}.000Z`, data: { n: 7 } })),
    )
  })

  test("written in its task, runs under the task's name", async () => {
    const app = cluster.app()
    const ids: string[] = []
    app.task("inline", {
      handler: (_: string, ctx) => void ids.push(ctx.id),
      schedule: { every: "2s", data: "x" },
    })
    await begin(app)
    await cluster.pass(4000)
    expect(ids).toEqual(["inline@2026-11-23T00:00:02.000Z", "inline@2026-11-23T00:00:04.000Z"])
  })

  test("declared after start() fires as well", async () => {
    const app = cluster.app()
    const ids: string[] = []
    app.task("late", (_: unknown, ctx) => void ids.push(ctx.id))
    await begin(app)
    app.schedule("late", { task: "late", every: "1s" })
    await cluster.pass(2500)
    expect(ids).toHaveLength(2)
  })

  test("restarting every second does not starve every: 2s", async () => {
    const ran: Ran[] = []
    for (let k = 0; k < 9; k++) {
      const app = await start({ every: "2s" }, ran)
      await cluster.pass(950)
      await cluster.close(app)
    }
    expect(slots(ran)).toEqual([2, 4, 6, 8])
  })

  test("a tag of their own: a task may be called schedules", async () => {
    const app = cluster.app()
    const data: unknown[] = []
    app.task("schedules", { handler: (x: number) => void data.push(x), schedule: { every: "1s", data: 1 } })
    await begin(app)
    await cluster.pass(1000)
    expect(data).toEqual([1])
    const kinds = new Set(
      (cluster.adapter.command(["KEYS", "*"]) as string[]).map((key) => key.split(":")[1]),
    )
    expect([...kinds].sort()).toEqual([
      "meta",
      "tasks",
      "worker-info",
      "workers",
      "{*schedules}",
      "{schedules}",
    ])
  })
})

describe("a schedule with cron", () => {
  test("fires by the clock of its time zone", async () => {
    const ran: Ran[] = []
    await start({ every: undefined, cron: "30 9 * * *", timezone: "Asia/Tokyo" } as never, ran)
    await cluster.pass(1_800_000)
    expect(slots(ran)).toEqual([1800])
  })
})

describe("slots at which nobody was there", () => {
  async function absent(options: Partial<ScheduleOptions>, ms = 4600): Promise<Ran[]> {
    const before = await start(options)
    await cluster.pass(1100)
    await cluster.close(before)
    await cluster.pass(ms)
    cluster.transitions.length = 0
    const ran: Ran[] = []
    await start(options, ran)
    await cluster.pass(1000)
    return ran
  }
  const missed = () => cluster.of("schedule missed").reduce((sum, { count }) => sum + count, 0)

  test("skip: are left out and counted as missed; the latest fires if the next is not due yet", async () => {
    const ran = await absent({})
    expect(slots(ran)).toEqual([5, 6])
    expect(missed()).toBe(3)
  })

  test("skip: after more than a minute the latest is missed too", async () => {
    const ran = await absent({ every: "10m" } as never, 25 * 60_000)
    expect(ran).toEqual([])
    expect(missed()).toBe(2)
  })

  test("catch-up: all of them fire, in order, each with its own id", async () => {
    const ran = await absent({ onMissed: "catch-up" })
    expect(slots(ran)).toEqual([2, 3, 4, 5, 6])
    expect(missed()).toBe(0)
  })

  test("catch-up: more than one call takes", async () => {
    const ran = await absent({ onMissed: "catch-up", every: "100ms" } as never, 25_000)
    expect(ran.length).toBeGreaterThan(250)
    expect(new Set(ran.map(({ id }) => id)).size).toBe(ran.length)
    const found = slots(ran).map((slot) => Math.round(slot * 10))
    expect(found).toEqual(found.map((_, i) => found[0]! + i))
  })

  test("catch-up-limit:N: the last N fire, the others are missed", async () => {
    const ran = await absent({ onMissed: "catch-up-limit:2" })
    expect(slots(ran)).toEqual([4, 5, 6])
    expect(missed()).toBe(2)
  })
})

describe("overlap: false", () => {
  test("fires nothing while the job of the firing before has not ended, and counts what it skips", async () => {
    const ran: Ran[] = []
    let end = () => {}
    await start({ overlap: false }, ran, () => new Promise((resolve) => (end = resolve)))
    await cluster.pass(3500)
    expect(slots(ran)).toEqual([1])
    expect(cluster.of("schedule skipped").map(({ reason, count }) => [reason, count])).toEqual([
      ["overlap", 1],
      ["overlap", 1],
    ])
    end()
    await cluster.pass(1000)
    expect(slots(ran)).toEqual([1, 4])
    end()
  })

  test("also while it waits for a worker", async () => {
    const app = cluster.app()
    app.task("nobody")
    app.schedule("s", { task: "nobody", every: "1s", overlap: false })
    await begin(app)
    await cluster.pass(3000)
    expect((await settled(app.schedules.get("s")))!).toMatchObject({ fired: 1, skipped: 2, missed: 0 })
  })

  test("by default firings overlap", async () => {
    const app = cluster.app()
    app.task("nobody")
    app.schedule("s", { task: "nobody", every: "1s" })
    await begin(app)
    await cluster.pass(3000)
    expect((await settled(app.schedules.get("s")))!).toMatchObject({ fired: 3, skipped: 0 })
  })
})

async function settled<T>(promise: Promise<T>): Promise<T> {
  await cluster.settle()
  return promise
}

test("jitter: firings come later than their slots, within the jitter; lateness leaves it out", async () => {
  const ran: Ran[] = []
  await start({ every: "10s", jitter: "5s" }, ran)
  await cluster.pass(120_000)
  expect(slots(ran)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110].slice(0, ran.length))
  expect(ran.length).toBeGreaterThanOrEqual(11)
  const delays = ran.map(({ at }, i) => at / 1000 - slots(ran)[i]!)
  expect(Math.max(...delays)).toBeLessThan(5.1)
  expect(new Set(delays).size).toBeGreaterThan(5)
  expect(cluster.of("schedule fired").every(({ lateMs }) => lateMs <= 1)).toBe(true)
})

test("lateness: from the slot to the job's being stored", async () => {
  const first = await start({ onMissed: "catch-up" })
  await cluster.pass(1000)
  await cluster.close(first)
  const away = cluster.clock.now()
  await cluster.pass(2300)
  cluster.transitions.length = 0
  await start({ onMissed: "catch-up" })
  await cluster.settle()
  const back = cluster.clock.now()
  expect(back - away).toBeGreaterThanOrEqual(2300)
  const fired = cluster.of("schedule fired")
  expect(fired.map(({ slot }) => (slot - midnight) / 1000)).toEqual([2, 3])
  for (const { slot, lateMs } of fired) expect(lateMs).toBe(back - slot)
})

describe("any number of processes", () => {
  test("fire each slot once, together", async () => {
    const ran: Ran[] = []
    for (let k = 0; k < 5; k++) await start({}, ran)
    await cluster.pass(10_200)
    expect(slots(ran)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    for (const [i, at] of seconds(ran).entries()) expect(at).toBeCloseTo(slots(ran)[i]!, 1)
    expect(cluster.of("schedule fired")).toHaveLength(10)
    expect(cluster.of("dispatched").reduce((sum, { stored }) => sum + stored, 0)).toBe(10)
  })

  test("go on when one leaves", async () => {
    const ran: Ran[] = []
    const apps = [await start({}, ran), await start({}, ran)]
    await cluster.pass(2000)
    await cluster.close(apps[0]!)
    const left = Math.ceil((cluster.clock.now() - midnight) / 1000)
    await cluster.pass(3000)
    expect(slots(ran).slice(0, left + 2)).toEqual(Array.from({ length: left + 2 }, (_, i) => i + 1))
  })
})
