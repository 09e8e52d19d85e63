import type { Bytes } from "./bytes.ts"

export interface Member {
  readonly member: Bytes
  readonly score: number
}

/** A range of scores; an exclusive bound is not part of it. */
export interface ScoreRange {
  readonly min: number
  readonly minExclusive: boolean
  readonly max: number
  readonly maxExclusive: boolean
}

interface Position {
  chunk: number
  index: number
}

/** A bound between members of one score. */
type LexBound = "first" | "last" | { readonly member: Bytes; readonly exclusive: boolean }

export interface LexRange {
  readonly min: LexBound
  readonly max: LexBound
}

const largestChunk = 512
const smallChunk = 64

/**
 * Members in order of score, then of bytes, kept in sorted chunks of a few hundred: a search is two binary searches,
 * an insertion moves at most one chunk. A million members are some thousands of chunks, which only ranks walk over.
 */
export class SortedSet {
  private readonly members = new Map<Bytes, Member>()
  private readonly chunks: Member[][] = []

  get size(): number {
    return this.members.size
  }

  score(member: Bytes): number | undefined {
    return this.members.get(member)?.score
  }

  /** Adds the member or moves it. */
  set(member: Bytes, score: number): void {
    const known = this.members.get(member)
    if (known !== undefined) {
      if (known.score === score) return
      this.unlink(known)
    }
    const entry = { member, score }
    this.members.set(member, entry)
    this.link(entry)
  }

  delete(member: Bytes): boolean {
    const known = this.members.get(member)
    if (known === undefined) return false
    this.members.delete(member)
    this.unlink(known)
    return true
  }

  first(): Member | undefined {
    return this.chunks[0]?.[0]
  }

  rank(member: Bytes): number | undefined {
    const known = this.members.get(member)
    return known === undefined ? undefined : this.rankAt(this.locate(known.score, member))
  }

  /** How many members have a score in the range. */
  count(range: ScoreRange): number {
    return Math.max(0, this.rankAt(this.endOf(range)) - this.rankAt(this.startOf(range)))
  }

  /** Members by rank, `start` to `stop` included, both within the set; ranks count from the other end if `reverse`. */
  byRank(start: number, stop: number, reverse: boolean): Member[] {
    const found: Member[] = []
    const step = reverse ? -1 : 1
    const position = this.positionOf(reverse ? this.size - 1 - start : start)
    for (let rank = start; rank <= stop; rank++) {
      found.push(this.chunks[position.chunk]![position.index]!)
      this.move(position, step)
    }
    return found
  }

  /** Members by score, skipping `offset`, at most `limit` of them. */
  byScore(range: ScoreRange, reverse: boolean, offset = 0, limit = Infinity): Member[] {
    const found: Member[] = []
    const step = reverse ? -1 : 1
    const position = reverse ? this.endOf(range) : this.startOf(range)
    if (reverse) this.move(position, -1)
    for (let skip = offset; found.length < limit; this.move(position, step)) {
      const entry = this.chunks[position.chunk]?.[position.index]
      if (entry === undefined || !contains(range, entry.score)) break
      if (skip > 0) skip--
      else found.push(entry)
    }
    return found
  }

  /** Members by their bytes, where all have the same score, as Redis asks for. */
  byLex(range: LexRange, reverse: boolean, offset = 0, limit = Infinity): Member[] {
    const from = this.rankOfBound(range.min, false)
    const to = this.rankOfBound(range.max, true) - 1
    const count = Math.min(limit, to - from + 1 - offset)
    if (count <= 0) return []
    const start = reverse ? this.size - 1 - to + offset : from + offset
    return this.byRank(start, start + count - 1, reverse)
  }

  /** How many members stand before a bound; `upper`: it ends a range. */
  private rankOfBound(bound: LexBound, upper: boolean): number {
    if (bound === "first") return 0
    if (bound === "last") return this.size
    const score = this.first()?.score ?? 0
    const at = this.rankAt(this.locate(score, bound.member))
    const passes = bound.exclusive !== upper && this.members.has(bound.member)
    return passes ? at + 1 : at
  }

  private startOf(range: ScoreRange): Position {
    return this.locate(range.min, range.minExclusive ? undefined : "")
  }

  private endOf(range: ScoreRange): Position {
    return this.locate(range.max, range.maxExclusive ? "" : undefined)
  }

  /** The place of the first entry that is not before (score, member); an undefined member stands after all of that score. */
  private locate(score: number, member: Bytes | undefined): Position {
    let low = 0
    let high = this.chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const chunk = this.chunks[middle]!
      if (isBefore(chunk[chunk.length - 1]!, score, member)) low = middle + 1
      else high = middle
    }
    const chunk = this.chunks[low]
    if (chunk === undefined) return { chunk: low, index: 0 }
    let from = 0
    let to = chunk.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (isBefore(chunk[middle]!, score, member)) from = middle + 1
      else to = middle
    }
    return { chunk: low, index: from }
  }

  private rankAt(position: Position): number {
    let rank = position.index
    for (let chunk = 0; chunk < position.chunk; chunk++) rank += this.chunks[chunk]!.length
    return rank
  }

  private positionOf(rank: number): Position {
    let index = rank
    let chunk = 0
    while (chunk < this.chunks.length && index >= this.chunks[chunk]!.length)
      index -= this.chunks[chunk++]!.length
    return { chunk, index }
  }

  /** Moves one entry on or back; beyond either end no chunk is there. */
  private move(position: Position, step: 1 | -1): void {
    position.index += step
    if (step === 1 && position.index >= (this.chunks[position.chunk]?.length ?? 0)) {
      position.chunk++
      position.index = 0
    } else if (position.index < 0) {
      position.chunk--
      position.index = (this.chunks[position.chunk]?.length ?? 0) - 1
    }
  }

  private link(entry: Member): void {
    const { chunk: at, index } = this.locate(entry.score, entry.member)
    const chunk = this.chunks[at]
    if (chunk === undefined) this.append(entry)
    else {
      chunk.splice(index, 0, entry)
      if (chunk.length > largestChunk) this.chunks.splice(at + 1, 0, chunk.splice(largestChunk >> 1))
    }
  }

  /** Rising scores are the usual case (deadlines): full chunks then stay full instead of being split. */
  private append(entry: Member): void {
    const last = this.chunks[this.chunks.length - 1]
    if (last === undefined || last.length >= largestChunk) this.chunks.push([entry])
    else last.push(entry)
  }

  private unlink(entry: Member): void {
    const { chunk: at, index } = this.locate(entry.score, entry.member)
    const chunk = this.chunks[at]!
    if (index === 0) chunk.shift()
    else chunk.splice(index, 1)
    const next = this.chunks[at + 1]
    if (chunk.length === 0) this.chunks.splice(at, 1)
    else if (next !== undefined && chunk.length + next.length < smallChunk) {
      chunk.push(...next)
      this.chunks.splice(at + 1, 1)
    }
  }
}

function isBefore(entry: Member, score: number, member: Bytes | undefined): boolean {
  if (entry.score !== score) return entry.score < score
  return member === undefined || entry.member < member
}

function contains(range: ScoreRange, score: number): boolean {
  if (range.minExclusive ? score <= range.min : score < range.min) return false
  return range.maxExclusive ? score < range.max : score <= range.max
}
