import type { Bytes } from "./bytes.ts"
import { type Commands, clampRange } from "./command.ts"
import { Deque } from "./deque.ts"
import type { Keyspace } from "./keyspace.ts"
import { integerArgument, positiveArgument } from "./numbers.ts"
import { arityError, CommandError, ok, type Value } from "./reply.ts"

type End = "left" | "right"

export const listCommands: Commands = {
  LPUSH: { arity: -3, run: (db, args) => push(db, args, "left") },
  RPUSH: { arity: -3, run: (db, args) => push(db, args, "right") },
  LPOP: { arity: -2, run: (db, args) => pop(db, args, "left") },
  RPOP: { arity: -2, run: (db, args) => pop(db, args, "right") },
  LLEN: { arity: 2, run: (db, args) => db.find(args[1]!, "list")?.length ?? 0 },
  LRANGE: { arity: 4, run: lrange },
  LINDEX: { arity: 3, run: lindex },
  LSET: { arity: 4, run: lset },
  LTRIM: { arity: 4, run: ltrim },
  LREM: { arity: 4, run: lrem },
}

function push(db: Keyspace, args: readonly Bytes[], end: End): Value {
  let list = db.find(args[1]!, "list")
  if (list === undefined) {
    list = new Deque()
    db.put(args[1]!, "list", list)
  }
  for (let index = 2; index < args.length; index++) {
    if (end === "left") list.pushLeft(args[index]!)
    else list.pushRight(args[index]!)
  }
  return list.length
}

function pop(db: Keyspace, args: readonly Bytes[], end: End): Value {
  if (args.length > 3) throw arityError(args[0]!)
  const count = args[2] === undefined ? undefined : positiveArgument(args[2])
  const list = db.find(args[1]!, "list")
  if (list === undefined) return null
  const take = () => (end === "left" ? list.popLeft() : list.popRight()) as Bytes
  const taken: Bytes[] = []
  const wanted = Math.min(count ?? 1, list.length)
  while (taken.length < wanted) taken.push(take())
  if (list.length === 0) db.delete(args[1]!)
  return count === undefined ? (taken[0] ?? null) : taken
}

function lrange(db: Keyspace, args: readonly Bytes[]): Value {
  const start = integerArgument(args[2]!)
  const stop = integerArgument(args[3]!)
  const list = db.find(args[1]!, "list")
  const range = clampRange(start, stop, list?.length ?? 0)
  return list === undefined || range === undefined ? [] : list.slice(range[0], range[1])
}

/** The index counted from the left; undefined if it is not within the list. */
function place(list: Deque, index: number): number | undefined {
  const at = index < 0 ? index + list.length : index
  return at >= 0 && at < list.length ? at : undefined
}

function lindex(db: Keyspace, args: readonly Bytes[]): Value {
  const list = db.find(args[1]!, "list")
  if (list === undefined) return null
  const at = place(list, integerArgument(args[2]!))
  return at === undefined ? null : list.at(at)
}

function lset(db: Keyspace, args: readonly Bytes[]): Value {
  const list = db.find(args[1]!, "list")
  if (list === undefined) throw new CommandError("ERR no such key")
  const at = place(list, integerArgument(args[2]!))
  if (at === undefined) throw new CommandError("ERR index out of range")
  list.set(at, args[3]!)
  return ok
}

function ltrim(db: Keyspace, args: readonly Bytes[]): Value {
  const start = integerArgument(args[2]!)
  const stop = integerArgument(args[3]!)
  const list = db.find(args[1]!, "list")
  if (list === undefined) return ok
  const range = clampRange(start, stop, list.length)
  if (range === undefined) db.delete(args[1]!)
  else list.keep(range[0], range[1])
  return ok
}

function lrem(db: Keyspace, args: readonly Bytes[]): Value {
  const count = integerArgument(args[2]!)
  const list = db.find(args[1]!, "list")
  if (list === undefined) return 0
  const removed = list.remove(args[3]!, count === 0 ? Infinity : Math.abs(count), count < 0)
  if (list.length === 0) db.delete(args[1]!)
  return removed
}
