import type { Bytes } from "./bytes.ts"
import type { Deque } from "./deque.ts"
import { CommandError } from "./reply.ts"
import { type Member, SortedSet } from "./sorted-set.ts"
import type { Stream } from "./stream.ts"

/** The types of value and how each is held. */
export interface Kinds {
  string: Bytes
  list: Deque
  hash: Map<Bytes, Bytes>
  set: Set<Bytes>
  zset: SortedSet
  stream: Stream
}

export type Kind = keyof Kinds

interface Entry {
  readonly kind: Kind
  value: Kinds[Kind]
  /** The last ms of clock time at which the key is there; Infinity for ever. */
  expiresAt: number
}

/** Where a message goes that a script publishes; answers how many receive it. */
export type Publish = (channel: Bytes, message: Bytes) => number

/** How many expired keys one call clears away beside those it touches, so that no call pays for a whole night's. */
const sweepLimit = 200

/** Keys and their values, with expiry. It knows no command; commands know it. */
export class Keyspace {
  /** The time of the call under way, ms; one reading serves a whole script. */
  now = 0
  private readonly entries = new Map<Bytes, Entry>()
  private readonly deadlines = new SortedSet()

  /** `onGrowth` hears of every sorted set and stream that got a new element: somebody may be waiting for it. */
  constructor(
    readonly publish: Publish,
    readonly onGrowth: (key: Bytes) => void,
  ) {}

  /** How many keys are held, expired ones among them that have not been cleared away yet. */
  get size(): number {
    return this.entries.size
  }

  /** Every sorted set, by its key. */
  *sortedSets(): Generator<readonly [key: Bytes, set: SortedSet]> {
    for (const [key, { kind, value }] of this.entries) if (kind === "zset") yield [key, value as SortedSet]
  }

  /** Begins a call at the given time and clears away some of what has expired. */
  begin(now: number): void {
    this.now = Math.floor(now)
    for (let swept = 0; swept < sweepLimit; swept++) {
      const next = this.deadlines.first()
      if (next === undefined || next.score >= this.now) break
      this.delete(next.member)
    }
  }

  /** The value, if the key holds one of this kind; undefined if there is no key; WRONGTYPE else. */
  find<K extends Kind>(key: Bytes, kind: K): Kinds[K] | undefined {
    const entry = this.live(key)
    if (entry === undefined) return undefined
    if (entry.kind !== kind)
      throw new CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")
    return entry.value as Kinds[K]
  }

  kindOf(key: Bytes): Kind | undefined {
    return this.live(key)?.kind
  }

  has(key: Bytes): boolean {
    return this.live(key) !== undefined
  }

  /** Puts a value in place of whatever the key held. Its expiry goes, unless `keepExpiry`. */
  put<K extends Kind>(key: Bytes, kind: K, value: Kinds[K], keepExpiry = false): void {
    const known = this.live(key)
    if (known !== undefined && keepExpiry && known.kind === kind) known.value = value
    else {
      if (known !== undefined) this.delete(key)
      this.entries.set(key, { kind, value, expiresAt: Infinity })
    }
  }

  delete(key: Bytes): boolean {
    const entry = this.live(key)
    if (entry === undefined) return false
    this.entries.delete(key)
    if (entry.expiresAt !== Infinity) this.deadlines.delete(key)
    return true
  }

  /** Sets the last ms of clock time at which the key, which must exist, is there. */
  expireAt(key: Bytes, deadline: number): void {
    const entry = this.live(key)!
    entry.expiresAt = deadline
    this.deadlines.set(key, deadline)
  }

  /** Lets the key stay for ever. */
  keepForEver(key: Bytes): void {
    this.live(key)!.expiresAt = Infinity
    this.deadlines.delete(key)
  }

  /** The last ms of clock time at which the key is there; Infinity for ever; undefined if there is no such key. */
  deadline(key: Bytes): number | undefined {
    return this.live(key)?.expiresAt
  }

  /** Takes the lowest member out of a sorted set; the key goes with its last member. */
  takeLowest(key: Bytes): Member | undefined {
    const zset = this.find(key, "zset")
    const lowest = zset?.first()
    if (zset === undefined || lowest === undefined) return undefined
    zset.delete(lowest.member)
    if (zset.size === 0) this.delete(key)
    return lowest
  }

  keys(): Bytes[] {
    return [...this.entries.keys()].filter((key) => this.has(key))
  }

  private live(key: Bytes): Entry | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined || entry.expiresAt >= this.now) return entry
    this.entries.delete(key)
    this.deadlines.delete(key)
    return undefined
  }
}
