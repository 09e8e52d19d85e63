import { Cron } from "croner"
import { expect, test } from "vitest"
import { memoryAdapter } from "../../src/memory.ts"
import { Observers } from "../../src/model/observers.ts"
import type { ScheduleDefinition } from "../../src/rules/schedule.ts"
import { Scheduler } from "../../src/scheduler/scheduler.ts"
import type { Core } from "../../src/store/core.ts"
import { Link } from "../../src/store/link.ts"
import { manualClock } from "../support/manual-clock.ts"

const hour = 3_600_000

/**
 * What fires of cron schedules, by time turned by hand in steps in which every slot is a step's end. The scheduler runs by
 * itself: what else an app does every five seconds would take minutes here.
 */
async function firedBetween(
  crons: Readonly<Record<string, { cron: string; timezone: string }>>,
  { from, to, stepMs }: { from: string; to: string; stepMs: number },
): Promise<Record<string, string[]>> {
  const clock = manualClock(Date.parse(from))
  const adapter = memoryAdapter({ clock })
  const observers = new Observers([], () => {})
  const errors: unknown[] = []
  const link = new Link(adapter, { observers, listeners: { lost() {}, back() {}, message() {} } })
  const report = (error: unknown) => void errors.push(error)
  const scheduler = new Scheduler({ link, observers, report } as unknown as Core, { ready: async () => {} })
  const settle = async () => {
    for (let i = 0; i < 5; i++) await clock.advance(0)
  }
  const run = async (promise: Promise<unknown>) => {
    for (let i = 0; i < 10; i++) await settle()
    await promise
  }
  await link.connect()
  for (const [name, times] of Object.entries(crons)) {
    const definition: ScheduleDefinition = {
      ...{ task: "t", onMissed: "skip", overlap: true, jitterMs: 0, options: "0,0,1", data: "" },
      ...times,
    }
    scheduler.declare(name, definition)
  }
  await run(scheduler.register())
  await run(scheduler.start())
  while (clock.now() < Date.parse(to)) {
    await clock.advance(stepMs)
    await settle()
  }
  await run(scheduler.stop())
  const ids = (adapter.command(["LRANGE", "taskora:{t}:waiting", "0", "-1"]) as string[]).reverse()
  expect(errors).toEqual([])
  const slots = (name: string) =>
    ids
      .map((place) => place.split("\t")[0]!.split("@"))
      .flatMap(([schedule, slot]) => (schedule === name ? [slot!] : []))
  return Object.fromEntries(Object.keys(crons).map((name) => [name, slots(name)]))
}

test("a year of a cron, with its time zone's changes, is what croner itself lists", async () => {
  const from = "2026-01-01T00:00:00.000Z"
  const to = "2027-01-01T00:00:00.000Z"
  const crons = {
    work: { cron: "0 0 1,2,3,9 * * 1-5", timezone: "Europe/Berlin" },
    months: { cron: "0 7 1,L * *", timezone: "America/New_York" },
  }
  const fired = await firedBetween(crons, { from, to, stepMs: hour })
  for (const [name, { cron, timezone }] of Object.entries(crons)) {
    const own = new Cron(cron, { timezone, paused: true })
    const expected: string[] = []
    for (let at = own.nextRun(new Date(from)); at && at <= new Date(to); at = own.nextRun(at))
      expected.push(at.toISOString())
    expect(expected.length, name).toBeGreaterThan(20)
    expect(fired[name], name).toEqual(expected)
  }
}, 120_000)

const nightly = {
  berlin: { cron: "30 2 * * *", timezone: "Europe/Berlin" },
  "new-york": { cron: "30 2 * * *", timezone: "America/New_York" },
  "berlin-hourly": { cron: "0 * * * *", timezone: "Europe/Berlin" },
}

test("clocks that go forward: a time that does not exist fires once, right after the gap, in two time zones", async () => {
  const fired = await firedBetween(nightly, {
    from: "2026-03-07T00:00:00.000Z",
    to: "2026-03-31T00:00:00.000Z",
    stepMs: hour / 2,
  })
  expect(fired["new-york"]!.slice(0, 3)).toEqual([
    "2026-03-07T07:30:00.000Z",
    // 02:30 does not exist on the 8th: 03:00 EDT.
    "2026-03-08T07:00:00.000Z",
    "2026-03-09T06:30:00.000Z",
  ])
  expect(fired.berlin!.slice(-3)).toEqual([
    "2026-03-28T01:30:00.000Z",
    // 02:30 does not exist on the 29th: 03:00 CEST.
    "2026-03-29T01:00:00.000Z",
    "2026-03-30T00:30:00.000Z",
  ])
  expect(fired.berlin).toHaveLength(24)
  expect(fired["berlin-hourly"]).toHaveLength(24 * 24)
}, 60_000)

test("clocks that go back: a time that comes twice fires once, in two time zones; every hour of the day fires", async () => {
  const crons = { ...nightly, "new-york": { cron: "30 1 * * *", timezone: "America/New_York" } }
  const fired = await firedBetween(crons, {
    from: "2026-10-24T00:00:00.000Z",
    to: "2026-11-03T00:00:00.000Z",
    stepMs: hour / 2,
  })
  expect(fired.berlin!.slice(0, 3)).toEqual([
    "2026-10-24T00:30:00.000Z",
    // 02:30 CEST; not again at 02:30 CET.
    "2026-10-25T00:30:00.000Z",
    "2026-10-26T01:30:00.000Z",
  ])
  expect(fired["new-york"]!.slice(-3)).toEqual([
    "2026-10-31T05:30:00.000Z",
    "2026-11-01T05:30:00.000Z",
    "2026-11-02T06:30:00.000Z",
  ])
  expect(fired["berlin-hourly"]!.filter((slot) => slot.startsWith("2026-10-25"))).toHaveLength(24)
}, 60_000)
