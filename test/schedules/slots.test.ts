import { describe, expect, test } from "vitest"
import { cronTimes } from "../../src/rules/cron.ts"
import type { OnMissed, ScheduleDefinition } from "../../src/rules/schedule.ts"
import { type Due, dueOf, plan, slotsOf } from "../../src/rules/slots.ts"

const base: ScheduleDefinition = {
  task: "t",
  everyMs: 1000,
  onMissed: "skip",
  overlap: true,
  jitterMs: 0,
  options: "0,0,1",
  data: "",
}
const every = slotsOf(base, 0)

function planned(onMissed: OnMissed, at: Partial<Due>, overlap = true) {
  const due: Due = { slot: 1000, due: at.slot ?? 1000, now: 1000, most: 100, busy: false, ...at }
  return plan({ ...base, onMissed, overlap }, every, due)
}

/** The first times after a moment, as ISO. */
function times(pattern: string, zone: string, after: string, count: number): string[] {
  const next = cronTimes(pattern, zone, "test")
  const found: string[] = []
  for (let at = Date.parse(after); found.length < count; ) {
    at = next(at)!
    found.push(new Date(at).toISOString())
  }
  return found
}

describe("slots of every", () => {
  test("are counted from the anchor, wherever one asks from", () => {
    const slots = slotsOf({ ...base, everyMs: 2000 }, 500)
    expect([0, 499, 500, 2499, 2500, 2501].map((at) => slots(at))).toEqual([500, 500, 2500, 2500, 4500, 4500])
  })
})

describe("a plan", () => {
  test("fires the one slot that is due", () => {
    for (const mode of ["skip", "catch-up", "catch-up-limit:3"] as const)
      expect(planned(mode, { now: 1700 })).toEqual({ fire: [1000], missed: 0, skipped: 0, next: 2000 })
  })

  test("skip: fires the latest slot, and leaves those before it out as missed", () => {
    expect(planned("skip", { now: 4200 })).toEqual({ fire: [4000], missed: 3, skipped: 0, next: 5000 })
  })

  test("skip: a slot of more than a minute ago is missed, one of a minute ago is not", () => {
    const slots = slotsOf({ ...base, everyMs: 3_600_000 }, 0)
    const at = { slot: 3_600_000, due: 3_600_000, most: 100, busy: false }
    const hourly = { ...base, everyMs: 3_600_000 }
    expect(plan(hourly, slots, { ...at, now: 3_660_000 }).fire).toEqual([3_600_000])
    expect(plan(hourly, slots, { ...at, now: 3_660_001 })).toEqual({
      fire: [],
      missed: 1,
      skipped: 0,
      next: 7_200_000,
    })
    // Delayed by its jitter it is not late before.
    expect(plan(hourly, slots, { ...at, due: 3_700_000, now: 3_700_005 }).fire).toEqual([3_600_000])
  })

  test("skip: after a long absence several plans count all that was missed", () => {
    let slot = 1000
    let missed = 0
    for (let rounds = 0; ; rounds++) {
      const step = planned("skip", { slot, now: 1_000_000 })
      missed += step.missed
      if (step.fire.length > 0) {
        expect(step).toMatchObject({ fire: [1_000_000], next: 1_001_000 })
        break
      }
      slot = step.next!
      expect(rounds).toBeLessThan(10)
    }
    expect(missed).toBe(999)
  })

  test("catch-up: fires all, so many at once as one call takes", () => {
    expect(planned("catch-up", { now: 4200 }).fire).toEqual([1000, 2000, 3000, 4000])
    expect(planned("catch-up", { now: 4200, most: 3 })).toEqual({
      fire: [1000, 2000, 3000],
      missed: 0,
      skipped: 0,
      next: 4000,
    })
  })

  test("catch-up-limit:N: leaves out what comes before the last N, then fires those", () => {
    expect(planned("catch-up-limit:2", { now: 4200 })).toEqual({
      fire: [],
      missed: 2,
      skipped: 0,
      next: 3000,
    })
    expect(planned("catch-up-limit:2", { slot: 3000, now: 4200 }).fire).toEqual([3000, 4000])
    expect(planned("catch-up-limit:500", { now: 4200 }).fire).toHaveLength(4)
  })

  test("overlap false: fires nothing while the job before runs, and at most one slot", () => {
    expect(planned("skip", { busy: true }, false)).toEqual({ fire: [], missed: 0, skipped: 1, next: 2000 })
    expect(planned("catch-up", { now: 3000 }, false)).toEqual({
      fire: [3000],
      missed: 0,
      skipped: 2,
      next: 4000,
    })
    expect(planned("skip", { busy: true }, true).fire).toEqual([1000])
  })

  test("jitter: the firing comes later than its slot, within the jitter and before the next slot", () => {
    const jittered = { ...base, jitterMs: 400 }
    const dues = Array.from({ length: 300 }, () => dueOf(5000, jittered, every))
    expect(Math.min(...dues)).toBeGreaterThanOrEqual(5000)
    expect(Math.max(...dues)).toBeLessThan(5400)
    expect(new Set(dues).size).toBeGreaterThan(50)
    const cron: ScheduleDefinition = { ...base, jitterMs: 60_000 }
    const tight = Array.from({ length: 300 }, () => dueOf(5000, cron, every))
    expect(Math.max(...tight)).toBeLessThan(6000)
    expect(dueOf(5000, base, every)).toBe(5000)
  })
})

describe("cron", () => {
  test("has a seconds field where there are six", () => {
    expect(times("*/20 * * * * *", "UTC", "2026-01-01T00:00:00.000Z", 3)).toEqual([
      "2026-01-01T00:00:20.000Z",
      "2026-01-01T00:00:40.000Z",
      "2026-01-01T00:01:00.000Z",
    ])
  })

  test("goes by the clock of its time zone", () => {
    expect(times("0 9 * * *", "Asia/Tokyo", "2026-01-01T00:00:00.000Z", 2)).toEqual([
      "2026-01-02T00:00:00.000Z",
      "2026-01-03T00:00:00.000Z",
    ])
  })

  test("a time that is skipped in spring comes right after the gap; one that comes twice in autumn fires once (Berlin)", () => {
    expect(times("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00.000Z", 3)).toEqual([
      "2026-03-28T01:30:00.000Z",
      "2026-03-29T01:00:00.000Z",
      "2026-03-30T00:30:00.000Z",
    ])
    expect(times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00.000Z", 2)).toEqual([
      "2026-10-25T00:30:00.000Z",
      "2026-10-26T01:30:00.000Z",
    ])
  })

  test("the same where the changes are on other days (New York)", () => {
    expect(times("30 2 * * *", "America/New_York", "2026-03-07T12:00:00.000Z", 2)).toEqual([
      "2026-03-08T07:00:00.000Z",
      "2026-03-09T06:30:00.000Z",
    ])
    expect(times("30 1 * * *", "America/New_York", "2026-10-31T12:00:00.000Z", 2)).toEqual([
      "2026-11-01T05:30:00.000Z",
      "2026-11-02T06:30:00.000Z",
    ])
  })
})
