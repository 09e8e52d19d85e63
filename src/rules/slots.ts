import { cronTimes } from "./cron.ts"
import { keptOf, type ScheduleDefinition } from "./schedule.ts"

/** The first slot after a moment, ms since the epoch; undefined where none will come. */
export type Slots = (after: number) => number | undefined

/**
 * The slots of a schedule. Those of `every` are counted from `anchor`, so that neither a restart nor a late firing moves
 * them.
 * @throws TaskoraError (`INVALID`) for a cron that cannot be read, or a time zone that this machine does not know
 */
export function slotsOf(definition: ScheduleDefinition, anchor: number): Slots {
  const { everyMs, cron, timezone } = definition
  if (everyMs === undefined) return cronTimes(cron!, timezone!, "a stored schedule")
  return (after) => anchor + (Math.floor((after - anchor) / everyMs) + 1) * everyMs
}

/** What to do with a schedule that is due. */
export interface Plan {
  /** Slots to fire, in order. */
  readonly fire: readonly number[]
  /** Slots that are left out because nobody was there in time. */
  readonly missed: number
  /** Slots that are left out because the job before has not ended. */
  readonly skipped: number
  /** The slot after all these, which may be due as well; undefined where none will come. */
  readonly next: number | undefined
}

/** A slot that is later than this counts as missed. */
const graceMs = 60_000
/** No plan looks at many more slots than this: after a long absence there are several, one after the other. */
const mostLookedAt = 200

export interface Due {
  readonly slot: number
  /** When it should fire: later than the slot by the jitter. */
  readonly due: number
  readonly now: number
  /** Most slots to fire at once. */
  readonly most: number
  /** The job of the last firing has not ended. */
  readonly busy: boolean
}

/** Decides, of the slots from `slot` up to `now`, which fire. */
export function plan(definition: ScheduleDefinition, slots: Slots, at: Due): Plan {
  const kept = keptOf(definition.onMissed)
  const chosen =
    kept === 0
      ? skipping(slots, at)
      : kept === Number.POSITIVE_INFINITY
        ? all(slots, at)
        : last(kept, slots, at)
  if (definition.overlap) return { ...chosen, skipped: 0 }
  const fire = at.busy ? [] : chosen.fire.slice(-1)
  return { ...chosen, fire, skipped: chosen.fire.length - fire.length }
}

type Chosen = Omit<Plan, "skipped">

function skipping(slots: Slots, at: Due): Chosen {
  const { passed, next } = lookAt(slots, at, mostLookedAt)
  const latest = passed.at(-1)!
  const since = passed.length === 1 ? Math.max(at.due, latest) : latest
  const inTime = (next === undefined || next > at.now) && at.now - since <= graceMs
  return inTime
    ? { fire: [latest], missed: passed.length - 1, next }
    : { fire: [], missed: passed.length, next }
}

function all(slots: Slots, at: Due): Chosen {
  const { passed, next } = lookAt(slots, at, at.most)
  return { fire: passed, missed: 0, next }
}

/** What is too old goes first, in plans of its own, so that each plan is short. */
function last(kept: number, slots: Slots, at: Due): Chosen {
  const { passed, next } = lookAt(slots, at, kept + mostLookedAt)
  const more = next !== undefined && next <= at.now
  const surplus = more ? mostLookedAt : passed.length - kept
  if (surplus > 0) return { fire: [], missed: surplus, next: passed[surplus] }
  return { fire: passed.slice(0, at.most), missed: 0, next: passed[at.most] ?? next }
}

function lookAt(
  slots: Slots,
  { slot, now }: Due,
  most: number,
): { passed: number[]; next: number | undefined } {
  const passed = [slot]
  let next = slots(slot)
  while (next !== undefined && next <= now && passed.length < most) {
    passed.push(next)
    next = slots(next)
  }
  return { passed, next }
}

/** When a slot fires: at its time, or later by a random part of the jitter that ends before the slot that follows. */
export function dueOf(slot: number, definition: ScheduleDefinition, slots: Slots): number {
  if (definition.jitterMs === 0) return slot
  const following = slots(slot) ?? Number.POSITIVE_INFINITY
  return slot + Math.floor(Math.random() * Math.min(definition.jitterMs, following - slot))
}

/** Slots as the scripts take them; "" where none will come. */
export interface Times {
  readonly next: number | ""
  readonly due: number | ""
}

/** The fields of a schedule's slots from a moment on, as the scripts take them. */
export function begin(
  definition: ScheduleDefinition,
  anchor: number,
  now: number,
): Times & { anchor: number } {
  const slots = slotsOf(definition, anchor)
  return { anchor, ...following(definition, slots, slots(now), now) }
}

/** A slot and when it fires, as the scripts take them. */
export function following(
  definition: ScheduleDefinition,
  slots: Slots,
  next: number | undefined,
  now: number,
): Times {
  if (next === undefined) return { next: "", due: "" }
  return { next, due: next <= now ? next : dueOf(next, definition, slots) }
}
