import type { Bytes } from "./bytes.ts"

export interface StreamId {
  readonly ms: number
  readonly seq: number
}

export interface Entry extends StreamId {
  /** Fields and values, alternating. */
  readonly fields: readonly Bytes[]
}

interface StreamNode {
  entries: Entry[]
  /** Entries ever put here, and about how many bytes: a node is closed by these, whatever was deleted since. */
  taken: number
  bytes: number
}

/** Redis' defaults of stream-node-max-entries and stream-node-max-bytes. */
const nodeEntries = 100
const nodeBytes = 4096
/** What an entry costs beside its fields' bytes: flags, id deltas, lengths. */
const entryOverhead = 12

export const firstId: StreamId = { ms: 0, seq: 0 }
export const lastId: StreamId = { ms: Infinity, seq: Infinity }

export function compareIds(a: StreamId, b: StreamId): number {
  return a.ms === b.ms ? a.seq - b.seq : a.ms - b.ms
}

export function formatId(id: StreamId): Bytes {
  return `${id.ms}-${id.seq}`
}

/** A stream as Redis keeps it, in nodes, because approximate trimming drops whole nodes only. */
export class Stream {
  private readonly nodes: StreamNode[] = []
  length = 0
  last: StreamId = firstId
  maxDeleted: StreamId = firstId
  added = 0

  get nodeCount(): number {
    return this.nodes.length
  }

  append(id: StreamId, fields: readonly Bytes[]): void {
    let node = this.nodes[this.nodes.length - 1]
    if (node === undefined || node.taken >= nodeEntries || node.bytes >= nodeBytes) {
      node = { entries: [], taken: 0, bytes: 0 }
      this.nodes.push(node)
    }
    node.entries.push({ ms: id.ms, seq: id.seq, fields })
    node.taken++
    for (const field of fields) node.bytes += field.length
    node.bytes += entryOverhead
    this.length++
    this.added++
    this.last = { ms: id.ms, seq: id.seq }
  }

  /** Drops the oldest entries beyond `maxLength`; whole nodes only if `approximate`, and then no more than `limit` entries. */
  trim(maxLength: number, approximate: boolean, limit: number): number {
    const before = this.length
    while (this.length > maxLength) {
      const node = this.nodes[0]!
      const size = node.entries.length
      if (limit > 0 && before - this.length + size > limit) break
      if (this.length - size >= maxLength) {
        this.nodes.shift()
        this.length -= size
      } else if (approximate) break
      else {
        const excess = this.length - maxLength
        node.entries.splice(0, excess)
        this.length -= excess
      }
    }
    return before - this.length
  }

  delete(id: StreamId): boolean {
    const at = this.nodeOf(id)
    const node = this.nodes[at]
    const index = node?.entries.findIndex((entry) => compareIds(entry, id) === 0) ?? -1
    if (node === undefined || index < 0) return false
    node.entries.splice(index, 1)
    if (node.entries.length === 0) this.nodes.splice(at, 1)
    this.length--
    if (compareIds(id, this.maxDeleted) > 0) this.maxDeleted = id
    return true
  }

  first(): Entry | undefined {
    return this.nodes[0]?.entries[0]
  }

  /** Entries from `start` to `stop`, both included, at most `limit`; from the newest back if `reverse`. */
  range(start: StreamId, stop: StreamId, limit: number, reverse: boolean): Entry[] {
    const found: Entry[] = []
    const step = reverse ? -1 : 1
    let at = reverse ? Math.min(this.nodeOf(stop), this.nodes.length - 1) : this.nodeOf(start)
    for (; found.length < limit; at += step) {
      const entries = this.nodes[at]?.entries
      if (entries === undefined) break
      const edge = reverse ? entries[entries.length - 1]! : entries[0]!
      if (reverse ? compareIds(edge, start) < 0 : compareIds(edge, stop) > 0) break
      const ordered = reverse ? entries.toReversed() : entries
      for (const entry of ordered) {
        if (found.length >= limit) break
        if (compareIds(entry, start) >= 0 && compareIds(entry, stop) <= 0) found.push(entry)
      }
    }
    return found
  }

  /** The first node whose newest entry is not older than the id. */
  private nodeOf(id: StreamId): number {
    let low = 0
    let high = this.nodes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const entries = this.nodes[middle]!.entries
      if (compareIds(entries[entries.length - 1]!, id) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
