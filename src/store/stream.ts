import type { StallAction, TaskEventName } from "../model/events.ts"

/** An entry of a task's stream (see `lua/lib/events.lua`): the transitions that one call made. */
export interface Entry {
  /** Of the first line's transition. */
  readonly seq: number
  readonly instance: string
  readonly lines: readonly string[]
}

/** One transition as it stands in a stream; texts of users' values are still encoded. */
export interface StreamEvent {
  readonly name: TaskEventName
  readonly id: string
  readonly seq: number
  readonly instance: string
  /** Server time, ms. */
  readonly timestamp: number
  readonly fields: StreamFields
}

/** A failed job was given another life. No event for listeners: it parts what is told of the two lives. */
export interface Rebirth extends Omit<StreamEvent, "name"> {
  readonly name: "revived"
}

export interface StreamFields {
  readonly attempt?: number
  readonly nextAttempt?: number
  readonly willRetry?: boolean
  readonly duration?: number
  /** Stored text of the result; absent when it was too long to travel. */
  readonly result?: string
  readonly error?: string
  readonly progress?: string
  readonly count?: number
  readonly action?: StallAction
  /** JSON, or "" where none was given. */
  readonly reason?: string
  /** Name of the workflow that ended: such events are of no job. */
  readonly workflow?: string
}

export function decodeEntry(text: string): Entry | undefined {
  const end = text.indexOf("\n")
  const [seq, instance] = text.slice(0, end).split(",")
  if (end < 0 || instance === undefined || !Number.isSafeInteger(Number(seq))) return undefined
  return { seq: Number(seq), instance, lines: text.slice(end + 1).split("\n") }
}

/** Last transition of an entry. */
export function lastSeq(entry: Entry): number {
  return entry.seq + entry.lines.length + entry.lines.filter(retries).length - 1
}

function retries(line: string): boolean {
  return line.startsWith("f") && line.split("\t", 4)[3] !== ""
}

/** Milliseconds of an entry's id: when it was written, server time. */
export function entryTime(id: string): number {
  return Number(id.slice(0, id.indexOf("-")))
}

/** Unfolds an entry's lines into events, in order. */
export function* unfold(entry: Entry, timestamp: number): Generator<StreamEvent | Rebirth> {
  let { seq } = entry
  const { instance } = entry
  for (const line of entry.lines) {
    const parts = line.split("\t")
    const id = parts[0]!.slice(1)
    const event = (name: TaskEventName, fields: StreamFields): StreamEvent => ({
      name,
      id,
      seq: seq++,
      instance,
      timestamp,
      fields,
    })
    switch (line[0]) {
      case "a":
        yield event("active", { attempt: Number(parts[1]) })
        break
      case "p":
        yield event("progress", { progress: rest(line, 1) })
        break
      case "c": {
        const text = rest(line, 3)
        const fields = { attempt: Number.parseInt(parts[1]!, 10), duration: Number(parts[2]) }
        yield event("completed", text.startsWith("~") ? fields : { ...fields, result: text.slice(1) })
        break
      }
      case "f": {
        const attempt = Number(parts[1])
        const error = rest(line, 4)
        const next = parts[3]!
        yield event("failed", { attempt, error, willRetry: next !== "" })
        if (next !== "") yield event("retrying", { attempt, nextAttempt: Number(next), error })
        break
      }
      case "s":
        yield event("stalled", { count: Number(parts[1]), action: parts[2] as StallAction })
        break
      case "e":
        yield event("expired", { attempt: Number(parts[1]) })
        break
      case "x":
        yield event("cancelled", { reason: rest(line, 1) })
        break
      case "w":
        yield event(...workflowEnd(line, parts))
        break
      case "v":
        yield { name: "revived", id, seq: seq++, instance, timestamp, fields: {} }
        break
      default:
        // Of a later version, perhaps: it counts, whatever it tells.
        seq++
    }
  }
}

function workflowEnd(line: string, parts: readonly string[]): [TaskEventName, StreamFields] {
  const common = { workflow: JSON.parse(parts[2]!) as string, duration: Number(parts[3]) }
  const text = rest(line, 4)
  if (parts[1] === "c")
    return ["completed", text.startsWith("~") ? common : { ...common, result: text.slice(1) }]
  return parts[1] === "f"
    ? ["failed", { ...common, error: text }]
    : ["cancelled", { ...common, reason: text }]
}

/** What follows the line's first `fields` fields. Users' texts hold no tabs, but a cut would hide it if they did. */
function rest(line: string, fields: number): string {
  let at = 0
  for (let i = 0; i < fields; i++) at = line.indexOf("\t", at) + 1
  return line.slice(at)
}

/** Orders entry ids. */
export function compareIds(a: string, b: string): number {
  const [aMs, aN] = a.split("-").map(Number) as [number, number]
  const [bMs, bN] = b.split("-").map(Number) as [number, number]
  return aMs - bMs || aN - bN
}
