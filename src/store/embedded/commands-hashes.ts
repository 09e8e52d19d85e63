import type { Bytes } from "./bytes.ts"
import type { Commands } from "./command.ts"
import { globPattern } from "./glob.ts"
import type { Keyspace, Kinds } from "./keyspace.ts"
import { addIntegers, integerArgument } from "./numbers.ts"
import { arityError, CommandError, syntaxError, type Value } from "./reply.ts"

export const hashCommands: Commands = {
  HGET: { arity: 3, run: (db, args) => db.find(args[1]!, "hash")?.get(args[2]!) ?? null },
  HMGET: {
    arity: -3,
    run(db, args) {
      const hash = db.find(args[1]!, "hash")
      return args.slice(2).map((field) => hash?.get(field) ?? null)
    },
  },
  HSET: { arity: -4, run: hset },
  HSETNX: {
    arity: 4,
    run(db, args) {
      const hash = hashAt(db, args[1]!)
      if (hash.has(args[2]!)) return 0
      hash.set(args[2]!, args[3]!)
      return 1
    },
  },
  HDEL: { arity: -3, run: hdel },
  HINCRBY: { arity: 4, run: hincrby },
  HGETALL: {
    arity: 2,
    run: (db, args) => flatten(db.find(args[1]!, "hash")),
  },
  HKEYS: { arity: 2, run: (db, args) => [...(db.find(args[1]!, "hash")?.keys() ?? [])] },
  HVALS: { arity: 2, run: (db, args) => [...(db.find(args[1]!, "hash")?.values() ?? [])] },
  HLEN: { arity: 2, run: (db, args) => db.find(args[1]!, "hash")?.size ?? 0 },
  HEXISTS: { arity: 3, run: (db, args) => (db.find(args[1]!, "hash")?.has(args[2]!) ? 1 : 0) },
  HSCAN: { arity: -3, run: hscan },
}

function hashAt(db: Keyspace, key: Bytes): Kinds["hash"] {
  const known = db.find(key, "hash")
  if (known !== undefined) return known
  const hash: Kinds["hash"] = new Map()
  db.put(key, "hash", hash)
  return hash
}

function hset(db: Keyspace, args: readonly Bytes[]): Value {
  if (args.length % 2 === 1) throw arityError("hset")
  const hash = hashAt(db, args[1]!)
  const before = hash.size
  for (let index = 2; index < args.length; index += 2) hash.set(args[index]!, args[index + 1]!)
  return hash.size - before
}

function hdel(db: Keyspace, args: readonly Bytes[]): Value {
  const hash = db.find(args[1]!, "hash")
  if (hash === undefined) return 0
  let deleted = 0
  for (let index = 2; index < args.length; index++) if (hash.delete(args[index]!)) deleted++
  if (hash.size === 0) db.delete(args[1]!)
  return deleted
}

function hincrby(db: Keyspace, args: readonly Bytes[]): Value {
  integerArgument(args[3]!)
  const stored = db.find(args[1]!, "hash")?.get(args[2]!) ?? "0"
  const sum = addIntegers(stored, args[3]!, "ERR hash value is not an integer")
  hashAt(db, args[1]!).set(args[2]!, sum)
  return Number(sum)
}

function flatten(hash: Kinds["hash"] | undefined): Bytes[] {
  const pairs: Bytes[] = []
  if (hash !== undefined) for (const [field, value] of hash) pairs.push(field, value)
  return pairs
}

/** Answers the whole hash at once, with cursor 0, as Redis does for small hashes. */
function hscan(db: Keyspace, args: readonly Bytes[]): Value {
  if (!/^[0-9]{1,20}$/.test(args[2]!)) throw new CommandError("ERR invalid cursor")
  const hash = db.find(args[1]!, "hash")
  if (hash === undefined) return ["0", []]
  let pattern: RegExp | undefined
  for (let index = 3; index < args.length; index += 2) {
    const word = args[index]!.toUpperCase()
    const operand = args[index + 1]
    if (operand === undefined) throw syntaxError()
    if (word === "MATCH") pattern = globPattern(operand)
    else if (word !== "COUNT") throw syntaxError()
    else if (integerArgument(operand) < 1) throw syntaxError()
  }
  if (pattern === undefined) return ["0", flatten(hash)]
  const matching = [...hash].filter(([field]) => pattern.test(field))
  return ["0", matching.flat()]
}
