import { decodeDefinition, type ScheduleDefinition } from "../rules/schedule.ts"
import { type Slots, slotsOf } from "../rules/slots.ts"
import type { ScheduleState, StoredSchedule } from "../store/schedule.ts"

/** A schedule of the store that this process declares, as far as known. */
export interface Entry {
  readonly name: string
  readonly definition: ScheduleDefinition
  readonly slots: Slots
  /** Text of the definition as code declared it when it was last registered. */
  readonly declared: string
  state: ScheduleState
  /** Not before this server time is it tried again, after a refusal. */
  notBefore: number
  /** When the state was read or answered, server time as this process knows it. */
  seenAt: number
  /** What the last answer asks for: another definition was stored, or the schedule is no more. */
  lookAgain?: "read" | "gone" | undefined
}

/** What is to be done with a stored schedule. @throws TaskoraError (`INVALID`) where this machine cannot read its times */
export function entryOf(stored: StoredSchedule, seenAt = 0): Entry {
  const { name, state, declared } = stored
  const definition = decodeDefinition(stored)
  return { name, definition, slots: slotsOf(definition, state.anchor), declared, state, notBefore: 0, seenAt }
}
