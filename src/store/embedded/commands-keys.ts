import type { Bytes } from "./bytes.ts"
import type { Commands } from "./command.ts"
import { globPattern } from "./glob.ts"
import type { Keyspace } from "./keyspace.ts"
import { integerArgument } from "./numbers.ts"
import { CommandError, Status, type Value } from "./reply.ts"

const highestDeadline = 2 ** 63

export const keyCommands: Commands = {
  TIME: { arity: 1, run: (db) => [String(Math.floor(db.now / 1000)), String((db.now % 1000) * 1000)] },
  DEL: { arity: -2, run: (db, args) => countKeys(args, (key) => db.delete(key)) },
  UNLINK: { arity: -2, run: (db, args) => countKeys(args, (key) => db.delete(key)) },
  EXISTS: { arity: -2, run: (db, args) => countKeys(args, (key) => db.has(key)) },
  TYPE: { arity: 2, run: (db, args) => new Status(db.kindOf(args[1]!) ?? "none") },
  PEXPIRE: { arity: -3, run: (db, args) => expire(db, args, 1) },
  EXPIRE: { arity: -3, run: (db, args) => expire(db, args, 1000) },
  PTTL: { arity: 2, run: pttl },
  PERSIST: { arity: 2, run: persist },
  KEYS: {
    arity: 2,
    run(db, args) {
      const pattern = globPattern(args[1]!)
      return db.keys().filter((key) => pattern.test(key))
    },
  },
  PUBLISH: { arity: 3, run: (db, args) => db.publish(args[1]!, args[2]!) },
  SPUBLISH: { arity: 3, run: (db, args) => db.publish(args[1]!, args[2]!) },
}

function countKeys(args: readonly Bytes[], each: (key: Bytes) => boolean): number {
  let count = 0
  for (let index = 1; index < args.length; index++) if (each(args[index]!)) count++
  return count
}

function expire(db: Keyspace, args: readonly Bytes[], unitMs: number): Value {
  const key = args[1]!
  const flags = expiryFlags(args)
  const delay = integerArgument(args[2]!)
  const deadline = db.now + delay * unitMs
  if (Math.abs(delay * unitMs) >= highestDeadline || deadline >= highestDeadline)
    throw new CommandError(`ERR invalid expire time in '${args[0]!.toLowerCase()}' command`)
  const current = db.deadline(key)
  if (current === undefined || !mayMove(flags, current, deadline)) return 0
  if (deadline <= db.now) db.delete(key)
  else db.expireAt(key, deadline)
  return 1
}

function persist(db: Keyspace, args: readonly Bytes[]): Value {
  const key = args[1]!
  const deadline = db.deadline(key)
  if (deadline === undefined || deadline === Infinity) return 0
  db.keepForEver(key)
  return 1
}

function expiryFlags(args: readonly Bytes[]): Set<string> {
  const flags = new Set<string>()
  for (const word of args.slice(3)) {
    const flag = word.toUpperCase()
    if (!["NX", "XX", "GT", "LT"].includes(flag)) throw new CommandError(`ERR Unsupported option ${word}`)
    flags.add(flag)
  }
  if (flags.has("NX") && flags.size > 1)
    throw new CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
  if (flags.has("GT") && flags.has("LT"))
    throw new CommandError("ERR GT and LT options at the same time are not compatible")
  return flags
}

function mayMove(flags: Set<string>, current: number, next: number): boolean {
  if (flags.has("NX") && current !== Infinity) return false
  if (flags.has("XX") && current === Infinity) return false
  if (flags.has("GT") && next <= current) return false
  return !(flags.has("LT") && next >= current)
}

function pttl(db: Keyspace, args: readonly Bytes[]): Value {
  const deadline = db.deadline(args[1]!)
  if (deadline === undefined) return -2
  return deadline === Infinity ? -1 : deadline - db.now
}
