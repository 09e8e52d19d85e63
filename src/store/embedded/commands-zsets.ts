import type { Bytes } from "./bytes.ts"
import type { Commands } from "./command.ts"
import type { Keyspace } from "./keyspace.ts"
import { floatArgument, formatDouble, positiveArgument } from "./numbers.ts"
import { CommandError, syntaxError, type Value } from "./reply.ts"
import { scoreRange } from "./score-range.ts"
import { SortedSet } from "./sorted-set.ts"

export const zsetCommands: Commands = {
  ZADD: { arity: -4, run: zadd },
  ZREM: {
    arity: -3,
    run(db, args) {
      const zset = db.find(args[1]!, "zset")
      if (zset === undefined) return 0
      let removed = 0
      for (let index = 2; index < args.length; index++) if (zset.delete(args[index]!)) removed++
      if (zset.size === 0) db.delete(args[1]!)
      return removed
    },
  },
  ZSCORE: { arity: 3, run: (db, args) => scoreOf(db.find(args[1]!, "zset"), args[2]!) },
  ZMSCORE: {
    arity: -3,
    run(db, args) {
      const zset = db.find(args[1]!, "zset")
      return args.slice(2).map((member) => scoreOf(zset, member))
    },
  },
  ZCARD: { arity: 2, run: (db, args) => db.find(args[1]!, "zset")?.size ?? 0 },
  ZCOUNT: {
    arity: 4,
    run(db, args) {
      const range = scoreRange(args[2]!, args[3]!)
      return db.find(args[1]!, "zset")?.count(range) ?? 0
    },
  },
  ZPOPMIN: { arity: -2, run: zpopmin },
  ZRANK: { arity: 3, run: (db, args) => db.find(args[1]!, "zset")?.rank(args[2]!) ?? null },
  ZREMRANGEBYSCORE: {
    arity: 4,
    run(db, args) {
      const range = scoreRange(args[2]!, args[3]!)
      const zset = db.find(args[1]!, "zset")
      if (zset === undefined) return 0
      const found = zset.byScore(range, false)
      for (const { member } of found) zset.delete(member)
      if (zset.size === 0) db.delete(args[1]!)
      return found.length
    },
  },
}

function scoreOf(zset: SortedSet | undefined, member: Bytes): Bytes | null {
  const score = zset?.score(member)
  return score === undefined ? null : formatDouble(score)
}

function zadd(db: Keyspace, args: readonly Bytes[]): Value {
  const [flags, first] = zaddFlags(args)
  const pairs = args.length - first
  if (pairs === 0 || pairs % 2 === 1) throw syntaxError()
  if (flags.has("NX") && flags.has("XX"))
    throw new CommandError("ERR XX and NX options at the same time are not compatible")
  if ((flags.has("GT") && flags.has("LT")) || (flags.has("NX") && (flags.has("GT") || flags.has("LT"))))
    throw new CommandError("ERR GT, LT, and/or NX options at the same time are not compatible")
  const scores: number[] = []
  for (let index = first; index < args.length; index += 2) scores.push(floatArgument(args[index]!))

  const key = args[1]!
  const known = db.find(key, "zset")
  if (known === undefined && flags.has("XX")) return 0
  const zset = known ?? new SortedSet()
  let added = 0
  let moved = 0
  for (const [pair, score] of scores.entries()) {
    const member = args[first + pair * 2 + 1]!
    const current = zset.score(member)
    if (!mayPlace(flags, current, score)) continue
    zset.set(member, score)
    if (current === undefined) added++
    else if (current !== score) moved++
  }
  if (known === undefined && added > 0) db.put(key, "zset", zset)
  if (added > 0) db.onGrowth(key)
  return flags.has("CH") ? added + moved : added
}

const knownFlags = new Set(["NX", "XX", "GT", "LT", "CH"])
const noFlags: ReadonlySet<string> = new Set()

function zaddFlags(args: readonly Bytes[]): [flags: ReadonlySet<string>, first: number] {
  let flags: Set<string> | undefined
  let index = 2
  for (; index < args.length; index++) {
    const word = args[index]!.toUpperCase()
    if (!knownFlags.has(word)) break
    flags ??= new Set()
    flags.add(word)
  }
  return [flags ?? noFlags, index]
}

function mayPlace(flags: ReadonlySet<string>, current: number | undefined, score: number): boolean {
  if (flags === noFlags) return true
  if (current === undefined) return !flags.has("XX")
  if (flags.has("NX")) return false
  if (flags.has("GT") && score <= current) return false
  return !(flags.has("LT") && score >= current)
}

function zpopmin(db: Keyspace, args: readonly Bytes[]): Value {
  if (args.length > 3) throw syntaxError()
  const count = args[2] === undefined ? 1 : positiveArgument(args[2])
  if (db.find(args[1]!, "zset") === undefined) return []
  const popped: Bytes[] = []
  for (let taken = 0; taken < count; taken++) {
    const lowest = db.takeLowest(args[1]!)
    if (lowest === undefined) break
    popped.push(lowest.member, formatDouble(lowest.score))
  }
  return popped
}
