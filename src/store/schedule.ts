import type { Stale } from "./replies.ts"
import type { Reply } from "./store.ts"

/** A schedule's state as the scripts write it (see `lua/lib/schedule.lua`). Times: ms of the server's clock; 0 for none. */
export interface ScheduleState {
  readonly version: string
  readonly next: number
  readonly due: number
  readonly paused: boolean
  readonly anchor: number
  readonly slot: number
  readonly at: number
  readonly fired: number
  readonly missed: number
  readonly skipped: number
  readonly open: readonly Firing[]
}

/** Slots that were taken together. */
export interface Firing {
  /** The last of its slots: rises from firing to firing. */
  readonly n: number
  readonly at: number
  /** When the first of its slots should have fired. */
  readonly due: number
  readonly slots: readonly number[]
}

/** A schedule as it was read. */
export interface StoredSchedule {
  readonly name: string
  readonly state: ScheduleState
  /** As code declared it. */
  readonly declared: string
  /** As it is now: another text only after an update. */
  readonly current: string
}

/** What a schedule shall become: another state or definition, or nothing at all. */
export type ScheduleEdit =
  | {
      readonly action: "put"
      readonly anchor: number
      readonly next: number | ""
      readonly due: number | ""
      readonly paused: boolean
      /** Texts of the definition; absent where it stays as it is. */
      readonly definition?: { readonly declared: string; readonly current: string }
    }
  | { readonly action: "drop" }

/** Undefined where there is none, or a damaged one. */
export function decodeSchedule(text: string): ScheduleState | undefined {
  const tab = text.indexOf("\t")
  const fields = text.slice(0, tab).split(",")
  if (tab < 0 || fields.length !== 10) return undefined
  const [next, due, paused, ...numbers] = fields.slice(1)
  const [anchor, slot, at, fired, missed, skipped] = numbers.map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  return {
    version: fields[0]!,
    next: Number(next),
    due: Number(due),
    paused: paused === "1",
    anchor,
    slot,
    at,
    fired,
    missed,
    skipped,
    open:
      tab === text.length - 1
        ? []
        : text
            .slice(tab + 1)
            .split(";")
            .map(decodeFiring),
  }
}

function decodeFiring(text: string): Firing {
  const [n, at, due, slots] = text.split(":")
  return { n: Number(n), at: Number(at), due: Number(due), slots: slots!.split("+").map(Number) }
}

export interface ScheduleReadReply {
  readonly at: number
  /** "0" after the last page. */
  readonly cursor: string
  readonly schedules: readonly StoredSchedule[]
}

export function decodeScheduleRead(reply: Reply): ScheduleReadReply {
  const [at, cursor, ...rest] = reply as [number, string, ...string[]]
  const schedules: StoredSchedule[] = []
  for (let i = 0; i < rest.length; i += 3) {
    const state = decodeSchedule(rest[i + 1]!)
    const [declared = "", current = ""] = rest[i + 2]!.split("\n")
    if (state) schedules.push({ name: rest[i]!, state, declared, current })
  }
  return { at, cursor, schedules }
}

/** Both texts of a definition, as they are stored. */
export function encodeDefinitions(declared: string, current: string): string {
  return `${declared}\n${current}`
}

export interface ScheduleTickReply {
  readonly at: number
  readonly answers: readonly {
    readonly word: "taken" | "changed" | "early" | "open" | "gone"
    /** Undefined where it is gone. */
    readonly state: ScheduleState | undefined
  }[]
}

export function decodeScheduleTick(reply: Reply): ScheduleTickReply | Stale {
  const [word, at, text] = reply as [string, number, string]
  if (word === "stale") return "stale"
  const answers = text.split("\n").map((line) => {
    const space = line.indexOf(" ")
    const said = line.slice(0, space) as ScheduleTickReply["answers"][number]["word"]
    return { word: said, state: decodeSchedule(line.slice(space + 1)) }
  })
  return { at, answers }
}

export interface ScheduleWriteReply {
  readonly at: number
  readonly word: "written" | "changed" | "open"
}

export function decodeScheduleWrite(reply: Reply): ScheduleWriteReply | Stale {
  const [word, at] = reply as [ScheduleWriteReply["word"] | "stale", number]
  return word === "stale" ? "stale" : { at, word }
}

/** One letter a firing: `r` noted by this call, `n` known before. */
export function decodeScheduleDone(reply: Reply): { at: number; letters: string } | Stale {
  const [word, at, letters] = reply as [string, number, string]
  return word === "stale" ? "stale" : { at, letters }
}
