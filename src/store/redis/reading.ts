import type { Reply, StreamChunk } from "../store.ts"
import type { Connection } from "./connection.ts"
import type { Interrupt } from "./interrupt.ts"

/** Beyond the time for which a blocking command was asked to wait. */
export const blockingGraceMs = 2_000

type StreamReply = readonly [
  key: string,
  entries: readonly (readonly [id: string, fields: readonly string[]])[],
][]

/** The process's reader of streams: one XREAD at a time, over the streams asked for and one of its own. */
export class StreamReading {
  constructor(
    private readonly connection: Connection,
    private readonly control: { readonly key: string; readonly interrupt: Interrupt },
  ) {}

  async read(positions: ReadonlyMap<string, string>, blockMs: number, count: number): Promise<StreamChunk[]> {
    await this.connection.opened()
    const { key, interrupt } = this.control
    const reply = await interrupt.during(() => {
      const ids = [`${interrupt.seen}-0`, ...positions.values()]
      const blockFor = Math.max(1, Math.ceil(blockMs))
      const args = ["COUNT", count, "BLOCK", blockFor, "STREAMS", key, ...positions.keys(), ...ids]
      return this.connection.send("xread", args, blockFor + blockingGraceMs)
    })
    return chunks(reply ?? []).filter((chunk) => chunk.key !== key)
  }
}

export function chunks(reply: Reply): StreamChunk[] {
  return (reply as unknown as StreamReply).map(([key, entries]) => ({
    key,
    // An entry that somebody else wrote has no "e" in its place: what it holds is unreadable, where it stands is known.
    entries: entries.map(([id, fields]) => [id, fields[0] === "e" ? (fields[1] ?? "") : ""] as const),
  }))
}
