import type { Bytes } from "./bytes.ts"
import type { Commands } from "./command.ts"
import type { Keyspace } from "./keyspace.ts"
import { addIntegers, integerArgument } from "./numbers.ts"
import { arityError, CommandError, ok, syntaxError, type Value } from "./reply.ts"

export const stringCommands: Commands = {
  GET: { arity: 2, run: (db, args) => db.find(args[1]!, "string") ?? null },
  SET: { arity: -3, run: set },
  MGET: {
    arity: -2,
    run: (db, args) =>
      args.slice(1).map((key) => (db.kindOf(key) === "string" ? (db.find(key, "string") ?? null) : null)),
  },
  MSET: { arity: -3, run: mset },
  GETRANGE: { arity: 4, run: getrange },
  STRLEN: { arity: 2, run: (db, args) => db.find(args[1]!, "string")?.length ?? 0 },
  APPEND: {
    arity: 3,
    run(db, args) {
      const value = (db.find(args[1]!, "string") ?? "") + args[2]!
      db.put(args[1]!, "string", value, true)
      return value.length
    },
  },
  INCRBY: { arity: 3, run: (db, args) => increment(db, args[1]!, args[2]!) },
  INCR: { arity: 2, run: (db, args) => increment(db, args[1]!, "1") },
}

interface SetOptions {
  only?: "NX" | "XX"
  /** Delay until expiry, ms. */
  expiryMs?: number
}

function set(db: Keyspace, args: readonly Bytes[]): Value {
  const key = args[1]!
  const options = setOptions(args)
  if (options.only !== undefined && db.has(key) !== (options.only === "XX")) return null
  db.put(key, "string", args[2]!)
  if (options.expiryMs !== undefined) db.expireAt(key, db.now + options.expiryMs)
  return ok
}

function setOptions(args: readonly Bytes[]): SetOptions {
  const options: SetOptions = {}
  let unitMs: number | undefined
  let amount: Bytes | undefined
  for (let index = 3; index < args.length; index++) {
    const word = args[index]!.toUpperCase()
    if (word === "NX" || word === "XX") {
      if (options.only !== undefined && options.only !== word) throw syntaxError()
      options.only = word
    } else if ((word === "PX" || word === "EX") && unitMs === undefined && index + 1 < args.length) {
      unitMs = word === "PX" ? 1 : 1000
      amount = args[++index]!
    } else throw syntaxError()
  }
  if (unitMs === undefined || amount === undefined) return options
  const expiryMs = integerArgument(amount) * unitMs
  if (expiryMs <= 0 || expiryMs >= 2 ** 63) throw new CommandError("ERR invalid expire time in 'set' command")
  return { ...options, expiryMs }
}

function mset(db: Keyspace, args: readonly Bytes[]): Value {
  if (args.length % 2 === 0) throw arityError("mset")
  for (let index = 1; index < args.length; index += 2) db.put(args[index]!, "string", args[index + 1]!)
  return ok
}

function getrange(db: Keyspace, args: readonly Bytes[]): Value {
  const start = integerArgument(args[2]!)
  const stop = integerArgument(args[3]!)
  const value = db.find(args[1]!, "string") ?? ""
  if (value === "" || (start < 0 && stop < 0 && start > stop)) return ""
  const from = Math.max(start < 0 ? start + value.length : start, 0)
  const to = Math.min(Math.max(stop < 0 ? stop + value.length : stop, 0), value.length - 1)
  return from > to ? "" : value.slice(from, to + 1)
}

function increment(db: Keyspace, key: Bytes, by: Bytes): Value {
  integerArgument(by)
  const sum = addIntegers(db.find(key, "string") ?? "0", by)
  db.put(key, "string", sum, true)
  return Number(sum)
}
