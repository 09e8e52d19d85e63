import { decodeDefinition, encodeDefinition, type ScheduleDefinition, sameTimes } from "../rules/schedule.ts"
import { begin } from "../rules/slots.ts"
import type { ScheduleEdit, StoredSchedule } from "../store/schedule.ts"
import type { Editor } from "./editor.ts"

const atOnce = 100

/**
 * Writes schedules as code declares them. One that is there unchanged keeps all that it has, its next run first of all; of
 * a changed one the next run is kept where its times are the same. What `schedules.update()` made of a schedule lasts until
 * the code says something new.
 */
export async function register(
  declared: ReadonlyMap<string, ScheduleDefinition>,
  editor: Editor,
): Promise<void> {
  const names = [...declared.keys()]
  for (let i = 0; i < names.length; i += atOnce) {
    const page = names.slice(i, i + atOnce)
    const { schedules } = await editor.read(page)
    const known = new Map(schedules.map((stored) => [stored.name, stored.declared]))
    for (const name of page) {
      const definition = declared.get(name)!
      if (known.get(name) === encodeDefinition(definition)) continue
      await editor.edit(name, (stored, now) => registered(definition, stored, now))
    }
  }
}

function registered(
  definition: ScheduleDefinition,
  stored: StoredSchedule | undefined,
  now: number,
): ScheduleEdit | undefined {
  const declared = encodeDefinition(definition)
  if (stored?.declared === declared) return undefined
  const paused = stored?.state.paused ?? false
  const texts = { declared, current: "" }
  if (stored && sameTimes(decodeDefinition(stored), definition)) {
    const { anchor, next, due } = stored.state
    return { action: "put", anchor, next: next || "", due: due || "", paused, definition: texts }
  }
  return { action: "put", ...begin(definition, now, now), paused, definition: texts }
}
