import fc from "fast-check"

/** A command's words. Keys are short names; the test puts its prefix before the words in `keyPlaces`. */
export interface GeneratedCommand {
  readonly words: readonly string[]
  readonly keyPlaces: readonly number[]
}

type Words = fc.Arbitrary<string>

const key = fc.constantFrom("a", "b", "c", "ü", "none")
const value = fc.constantFrom(
  "",
  "x",
  "1",
  "-7",
  "ü€😀",
  "nul\0byte",
  "9223372036854775807",
  "1.5",
  "01",
  "y".repeat(70),
)
const field = fc.constantFrom("f", "g", "ü", "", "h\0i", "n")
const member = fc.constantFrom("m", "n", "o", "ü", "é", "", "Z", "😀", "￿")
const score = fc.constantFrom(
  "0",
  "1",
  "1",
  "2",
  "2.5",
  "0.1",
  "-3",
  "inf",
  "-inf",
  "1e17",
  "1e20",
  "123456789012",
  "bad",
  "nan",
  "1e-7",
  "",
)
const bound = fc.oneof(
  score,
  score.map((text) => `(${text}`),
  fc.constantFrom("-inf", "+inf"),
)
const lexBound = fc.oneof(
  fc.constantFrom("-", "+", "m", ""),
  member.map((text) => `[${text}`),
  member.map((text) => `(${text}`),
)
const index = fc.constantFrom("0", "1", "2", "-1", "-2", "5", "-6", "100", "x", "9223372036854775807", "1.0")
const count = fc.constantFrom("0", "1", "2", "5", "-1", "many")
const amount = fc.constantFrom(
  "1",
  "-1",
  "5",
  "9223372036854775807",
  "-9223372036854775808",
  "x",
  "1.5",
  "+1",
)
const streamId = fc.constantFrom(
  "1-0",
  "1-1",
  "2-5",
  "3-0",
  "3",
  "5-1",
  "5-*",
  "9-0",
  "0-0",
  "0-1",
  "bad",
  "1-2-3",
  "-1",
  "18446744073709551616",
)
const rangeId = fc.constantFrom("-", "+", "1", "1-1", "2", "(1-0", "(3", "(0-0", "(-", "5-1", "bad", "99")

const word = (...texts: string[]): Words => fc.constantFrom(...texts)
/** An option with its operands, sometimes left out. */
const optional = (...parts: Words[]): fc.Arbitrary<string[]> =>
  fc.oneof(fc.constant<string[]>([]), fc.tuple(...parts))
const several = (one: Words, min = 1, max = 4) => fc.array(one, { minLength: min, maxLength: max })
const pairs = (left: Words, right: Words) =>
  fc.array(fc.tuple(left, right), { minLength: 1, maxLength: 4 }).map((list) => list.flat())
const none = fc.constant<string[]>([])

/** Words after the key; a command's own mistakes (too few words, unknown options) come from `spoiled`. */
function keyed(name: string, ...parts: (Words | fc.Arbitrary<string[]>)[]): fc.Arbitrary<GeneratedCommand> {
  return fc
    .tuple(key, ...(parts as fc.Arbitrary<string | string[]>[]))
    .map(([first, ...rest]) => ({ words: [name, first as string, ...rest.flat()], keyPlaces: [1] }))
}

/** On a sorted set whose members all have one score: ranges by bytes are defined for no other. */
function onLex(name: string, ...parts: readonly (Words | fc.Arbitrary<string[]>)[]) {
  return keyed(name, ...parts).map(({ words: [first, , ...rest], keyPlaces }) => ({
    words: [first!, "lex", ...rest],
    keyPlaces,
  }))
}

function manyKeys(name: string): fc.Arbitrary<GeneratedCommand> {
  return several(key).map((keys) => ({ words: [name, ...keys], keyPlaces: keys.map((_, at) => at + 1) }))
}

const longTtl = word("100000", "5000000", "0", "-5", "x", "9223372036854775807")
const withScores = optional(word("WITHSCORES"))
const limit = optional(word("LIMIT"), word("0", "1", "-1", "x"), count)
const trim = optional(word("MAXLEN"), word("=", "~"), word("0", "1", "3", "-1", "x"))

const byName: Record<string, fc.Arbitrary<GeneratedCommand>> = {
  GET: keyed("GET"),
  SET: keyed("SET", value, optional(word("NX", "XX")), optional(word("PX", "EX"), longTtl)),
  MGET: manyKeys("MGET"),
  MSET: fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 3 }).map((list) => ({
    words: ["MSET", ...list.flat()],
    keyPlaces: list.map((_, at) => 1 + 2 * at),
  })),
  GETRANGE: keyed("GETRANGE", index, index),
  STRLEN: keyed("STRLEN"),
  APPEND: keyed("APPEND", value),
  INCR: keyed("INCR"),
  INCRBY: keyed("INCRBY", amount),
  DEL: manyKeys("DEL"),
  UNLINK: manyKeys("UNLINK"),
  EXISTS: manyKeys("EXISTS"),
  TYPE: keyed("TYPE"),
  PEXPIRE: keyed(
    "PEXPIRE",
    longTtl,
    optional(word("NX", "XX", "GT", "LT", "no")),
    optional(word("GT", "XX")),
  ),
  EXPIRE: keyed("EXPIRE", longTtl, optional(word("NX", "GT", "LT"))),
  PTTL: keyed("PTTL"),
  PERSIST: keyed("PERSIST"),
  KEYS: fc
    .constantFrom("*", "?", "[ab]", "[^a]", "n*e", "a*")
    .map((pattern) => ({ words: ["KEYS", pattern], keyPlaces: [1] })),
  HGET: keyed("HGET", field),
  HMGET: keyed("HMGET", several(field)),
  HSET: keyed("HSET", pairs(field, value)),
  HSETNX: keyed("HSETNX", field, value),
  HDEL: keyed("HDEL", several(field)),
  HINCRBY: keyed("HINCRBY", field, amount),
  HGETALL: keyed("HGETALL"),
  HKEYS: keyed("HKEYS"),
  HVALS: keyed("HVALS"),
  HLEN: keyed("HLEN"),
  HEXISTS: keyed("HEXISTS", field),
  HSCAN: keyed(
    "HSCAN",
    word("0", "x"),
    optional(word("MATCH"), word("*", "f*", "[fg]")),
    // A count that covers any hash here: which part of a larger one comes first is the server's own affair.
    optional(word("COUNT"), word("1000", "0", "-1", "many")),
  ),
  LPUSH: keyed("LPUSH", several(value)),
  RPUSH: keyed("RPUSH", several(value)),
  LPOP: keyed("LPOP", optional(count)),
  RPOP: keyed("RPOP", optional(count)),
  LLEN: keyed("LLEN"),
  LRANGE: keyed("LRANGE", index, index),
  LINDEX: keyed("LINDEX", index),
  LSET: keyed("LSET", index, value),
  LTRIM: keyed("LTRIM", index, index),
  LREM: keyed("LREM", count, value),
  SADD: keyed("SADD", several(member)),
  SREM: keyed("SREM", several(member)),
  SMEMBERS: keyed("SMEMBERS"),
  SISMEMBER: keyed("SISMEMBER", member),
  SCARD: keyed("SCARD"),
  ZADD: fc.oneof(
    keyed(
      "ZADD",
      optional(word("NX", "XX", "GT", "LT", "CH")),
      optional(word("CH", "XX", "GT")),
      pairs(score, member),
    ),
    onLex("ZADD", pairs(fc.constant("0"), member)),
  ),
  ZREM: keyed("ZREM", several(member)),
  ZSCORE: keyed("ZSCORE", member),
  ZMSCORE: keyed("ZMSCORE", several(member)),
  ZCARD: keyed("ZCARD"),
  ZCOUNT: keyed("ZCOUNT", bound, bound),
  ZRANGE: fc.oneof(
    keyed("ZRANGE", index, index, optional(word("REV")), withScores),
    keyed("ZRANGE", bound, bound, word("BYSCORE"), optional(word("REV")), limit, withScores),
    keyed("ZRANGE", bound, bound, optional(word("REV")), limit),
    onLex("ZRANGE", lexBound, lexBound, word("BYLEX"), optional(word("REV")), limit, withScores),
    onLex("ZRANGE", lexBound, lexBound, word("BYLEX"), optional(word("REV")), limit, withScores),
  ),
  ZRANGEBYSCORE: keyed("ZRANGEBYSCORE", bound, bound, withScores, limit),
  ZREVRANGEBYSCORE: keyed("ZREVRANGEBYSCORE", bound, bound, withScores, limit),
  ZREVRANGE: keyed("ZREVRANGE", index, index, withScores, limit),
  ZPOPMIN: keyed("ZPOPMIN", optional(count)),
  ZRANK: keyed("ZRANK", member),
  ZREMRANGEBYSCORE: keyed("ZREMRANGEBYSCORE", bound, bound),
  XADD: keyed(
    "XADD",
    optional(word("NOMKSTREAM")),
    trim,
    streamId,
    fc.oneof(
      pairs(field, value),
      pairs(field, value),
      word("e").map((one) => [one]),
    ),
  ),
  XLEN: keyed("XLEN"),
  XRANGE: keyed("XRANGE", rangeId, rangeId, optional(word("COUNT"), count)),
  XREVRANGE: keyed("XREVRANGE", rangeId, rangeId, optional(word("COUNT"), count)),
  XTRIM: keyed("XTRIM", word("MAXLEN"), optional(word("=", "~")), word("0", "1", "2", "-1", "x")),
  XDEL: keyed("XDEL", several(streamId, 1, 3)),
  XINFO: key.map((name) => ({ words: ["XINFO", "STREAM", name], keyPlaces: [2] })),
  TIME: none.map(() => ({ words: ["TIME"], keyPlaces: [] })),
  PUBLISH: value.map((text) => ({ words: ["PUBLISH", "nobody-listens", text], keyPlaces: [] })),
}

/** The commands that the property test compares with a real server. */
export const comparedCommands: readonly string[] = Object.keys(byName)

/** Sometimes a word is missing, or one too many, or the name is in lower case. */
function spoiled(command: fc.Arbitrary<GeneratedCommand>): fc.Arbitrary<GeneratedCommand> {
  return fc.tuple(command, fc.integer({ min: 0, max: 39 })).map(([{ words, keyPlaces }, how]) => {
    if (how === 0 && words.length > 1)
      return { words: words.slice(0, -1), keyPlaces: keyPlaces.filter((at) => at < words.length - 1) }
    if (how === 1) return { words: [...words, "extra"], keyPlaces }
    return { words: how < 10 ? [words[0]!.toLowerCase(), ...words.slice(1)] : words, keyPlaces }
  })
}

/** Commands that make values are more frequent, so that the others find something. */
const makers = ["SET", "HSET", "RPUSH", "LPUSH", "SADD", "ZADD", "ZADD", "XADD", "XADD", "DEL"]

export const anyCommand: fc.Arbitrary<GeneratedCommand> = fc.oneof(
  ...[...comparedCommands, ...makers].map((name) => spoiled(byName[name]!)),
)

/** Commands of one type of value only, on few keys: deeper states than a mix of all types reaches. */
export function commandsOf(...names: string[]): fc.Arbitrary<GeneratedCommand> {
  return fc.oneof(...names.map((name) => spoiled(byName[name]!)))
}
