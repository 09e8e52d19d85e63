import type { Bytes } from "./bytes.ts"
import { type Commands, clampRange } from "./command.ts"
import type { Keyspace } from "./keyspace.ts"
import { formatDouble, integerArgument } from "./numbers.ts"
import { CommandError, syntaxError, type Value } from "./reply.ts"
import { lexRange, scoreRange } from "./score-range.ts"
import type { Member } from "./sorted-set.ts"

interface RangeOptions {
  byScore: boolean
  byLex: boolean
  reverse: boolean
  withScores: boolean
  offset: number
  /** Negative for no limit. */
  limit: number
  limited: boolean
}

export const zsetRangeCommands: Commands = {
  ZRANGE: { arity: -4, run: (db, args) => zrange(db, args, generalOptions(args)) },
  ZRANGEBYSCORE: { arity: -4, run: (db, args) => zrange(db, args, legacyOptions(args, true, false)) },
  ZREVRANGEBYSCORE: { arity: -4, run: (db, args) => zrange(db, args, legacyOptions(args, true, true)) },
  ZREVRANGE: { arity: -4, run: (db, args) => zrange(db, args, legacyOptions(args, false, true)) },
}

function generalOptions(args: readonly Bytes[]): RangeOptions {
  const options = readOptions(args, ["BYSCORE", "BYLEX", "REV", "WITHSCORES", "LIMIT"])
  if (options.limited && !options.byScore && !options.byLex)
    throw new CommandError(
      "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
    )
  if (options.withScores && options.byLex)
    throw new CommandError("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
  return options
}

function legacyOptions(args: readonly Bytes[], byScore: boolean, reverse: boolean): RangeOptions {
  const options = readOptions(args, ["WITHSCORES", "LIMIT"])
  if (options.limited && !byScore)
    throw new CommandError(
      "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
    )
  return { ...options, byScore, reverse }
}

function readOptions(args: readonly Bytes[], allowed: readonly string[]): RangeOptions {
  const options: RangeOptions = {
    byScore: false,
    byLex: false,
    reverse: false,
    withScores: false,
    offset: 0,
    limit: -1,
    limited: false,
  }
  for (let index = 4; index < args.length; index++) {
    const word = args[index]!.toUpperCase()
    if (!allowed.includes(word)) throw syntaxError()
    if (word === "BYSCORE") {
      options.byScore = true
      options.byLex = false
    } else if (word === "BYLEX") {
      options.byLex = true
      options.byScore = false
    } else if (word === "REV") options.reverse = true
    else if (word === "WITHSCORES") options.withScores = true
    else {
      if (index + 2 >= args.length) throw syntaxError()
      options.offset = integerArgument(args[++index]!)
      options.limit = integerArgument(args[++index]!)
      // A negative count together with offset 0 is the same as no LIMIT, also in what Redis lets pass.
      options.limited = options.limit !== -1
    }
  }
  return options
}

function zrange(db: Keyspace, args: readonly Bytes[], options: RangeOptions): Value {
  const find = options.byScore ? byScore : options.byLex ? byLex : byRank
  const found = find(db, args, options)
  if (!options.withScores) return found.map((entry) => entry.member)
  return found.flatMap((entry) => [entry.member, formatDouble(entry.score)])
}

function byScore(db: Keyspace, args: readonly Bytes[], options: RangeOptions): Member[] {
  const [min, max] = options.reverse ? [args[3]!, args[2]!] : [args[2]!, args[3]!]
  const range = scoreRange(min, max)
  const zset = db.find(args[1]!, "zset")
  if (zset === undefined || options.offset < 0) return []
  const limit = options.limit < 0 ? Infinity : options.limit
  return zset.byScore(range, options.reverse, options.offset, limit)
}

function byLex(db: Keyspace, args: readonly Bytes[], options: RangeOptions): Member[] {
  const [min, max] = options.reverse ? [args[3]!, args[2]!] : [args[2]!, args[3]!]
  const range = lexRange(min, max)
  const zset = db.find(args[1]!, "zset")
  if (zset === undefined || options.offset < 0) return []
  const limit = options.limit < 0 ? Infinity : options.limit
  return zset.byLex(range, options.reverse, options.offset, limit)
}

function byRank(db: Keyspace, args: readonly Bytes[], options: RangeOptions): Member[] {
  const start = integerArgument(args[2]!)
  const stop = integerArgument(args[3]!)
  const zset = db.find(args[1]!, "zset")
  const range = clampRange(start, stop, zset?.size ?? 0)
  return zset === undefined || range === undefined ? [] : zset.byRank(range[0], range[1], options.reverse)
}
