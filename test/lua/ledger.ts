import {
  compareIds,
  decodeEntry,
  entryTime,
  type Rebirth,
  type StreamEvent,
  unfold,
} from "../../src/store/stream.ts"

export type Told = StreamEvent | Rebirth

/** Everything that a task's stream has told so far, also what has been trimmed since. */
export class Ledger {
  readonly events: Told[] = []
  /** What was wrong with the stream itself. */
  readonly faults: string[] = []
  position = "0-0"
  seq = 0

  /** Takes entries as XRANGE gives them, after the position. */
  take(entries: readonly (readonly [id: string, fields: readonly string[]])[]): void {
    for (const [id, fields] of entries) {
      if (compareIds(id, this.position) <= 0) this.faults.push(`entry ${id} follows ${this.position}`)
      this.position = id
      const entry = fields.length === 2 && fields[0] === "e" ? decodeEntry(fields[1]!) : undefined
      if (!entry) {
        this.faults.push(`entry ${id} cannot be read: ${fields.join(" ")}`)
        continue
      }
      if (entry.seq !== this.seq + 1)
        this.faults.push(`entry ${id} begins at ${entry.seq}, after ${this.seq}`)
      if (Buffer.byteLength(entry.lines.join("")) > 16_384 && entry.lines.length > 1)
        this.faults.push(`entry ${id} of several lines is longer than 16 KiB`)
      for (const event of unfold(entry, entryTime(id))) {
        this.seq = event.seq
        this.events.push(event)
      }
    }
  }

  count(name: Told["name"], having: (event: Told) => boolean = () => true): number {
    return this.events.filter((event) => event.name === name && having(event)).length
  }

  of(id: string): Told[] {
    return this.events.filter((event) => event.id === id)
  }
}

export function isTerminal({ name, fields }: Told): boolean {
  return (
    ["completed", "cancelled", "expired"].includes(name) || (name === "failed" && fields.willRetry === false)
  )
}
