import type { Bytes } from "./bytes.ts"
import type { Commands } from "./command.ts"
import type { Keyspace } from "./keyspace.ts"
import { integerArgument } from "./numbers.ts"
import { arityError, CommandError, syntaxError, type Value } from "./reply.ts"
import { compareIds, type Entry, formatId, lastId, Stream, type StreamId } from "./stream.ts"
import { parseId, rangeStart, rangeStop } from "./stream-ids.ts"

export const streamCommands: Commands = {
  XADD: { arity: -5, run: xadd },
  XLEN: { arity: 2, run: (db, args) => db.find(args[1]!, "stream")?.length ?? 0 },
  XRANGE: { arity: -4, run: (db, args) => xrange(db, args, false) },
  XREVRANGE: { arity: -4, run: (db, args) => xrange(db, args, true) },
  XTRIM: {
    arity: -4,
    run(db, args) {
      const [trim, next] = trimOptions(args, 2)
      if (trim === undefined || next < args.length) throw syntaxError()
      return db.find(args[1]!, "stream")?.trim(trim.maxLength, trim.approximate, trim.limit) ?? 0
    },
  },
  XDEL: {
    arity: -3,
    run(db, args) {
      const stream = db.find(args[1]!, "stream")
      if (stream === undefined) return 0
      return args
        .slice(2)
        .map((id) => parseId(id, 0))
        .filter((id) => stream.delete(id)).length
    },
  },
  XINFO: { arity: -2, run: xinfo },
}

interface Trim {
  maxLength: number
  approximate: boolean
  /** Most entries dropped; 0 for no limit. */
  limit: number
}

/** What Redis drops at most by one approximate trim: a hundred nodes' worth. */
const defaultTrimLimit = 10_000

function trimOptions(args: readonly Bytes[], from: number): [trim: Trim | undefined, next: number] {
  const following = args.length - 1 - from
  if (following < 1 || args[from]!.toUpperCase() !== "MAXLEN") return [undefined, from]
  let index = from + 1
  const approximate = following > 1 && args[index] === "~"
  if (approximate || (following > 1 && args[index] === "=")) index++
  const maxLength = integerArgument(args[index++]!)
  if (maxLength < 0) throw new CommandError("ERR The MAXLEN argument must be >= 0.")
  return [{ maxLength, approximate, limit: approximate ? defaultTrimLimit : 0 }, index]
}

function xadd(db: Keyspace, args: readonly Bytes[]): Value {
  let from = 2
  const create = args[from]?.toUpperCase() !== "NOMKSTREAM"
  if (!create) from++
  const [trim, at] = trimOptions(args, from)
  const wanted = args[at] === undefined || args[at] === "*" ? undefined : newId(args[at])
  const fields = args.slice(at + 1)
  if (fields.length < 2 || fields.length % 2 === 1) throw arityError("xadd")
  if (wanted?.ms === 0 && wanted.seq === 0)
    throw new CommandError("ERR The ID specified in XADD must be greater than 0-0")

  const known = db.find(args[1]!, "stream")
  if (known === undefined && !create) return null
  const stream = known ?? new Stream()
  const id = wanted === undefined ? nextId(stream, db.now) : completeId(stream, wanted)
  if (compareIds(id, stream.last) <= 0)
    throw new CommandError("ERR The ID specified in XADD is equal or smaller than the target stream top item")
  if (known === undefined) db.put(args[1]!, "stream", stream)
  stream.append(id, fields)
  if (trim !== undefined) stream.trim(trim.maxLength, trim.approximate, trim.limit)
  db.onGrowth(args[1]!)
  return formatId(id)
}

interface WantedId {
  readonly ms: number
  /** Undefined for "ms-*": the next one of that ms. */
  readonly seq: number | undefined
}

function newId(text: Bytes): WantedId {
  if (text.endsWith("-*")) return { ms: parseId(text.slice(0, -2), 0).ms, seq: undefined }
  return parseId(text, 0)
}

function completeId(stream: Stream, wanted: WantedId): StreamId {
  if (wanted.seq !== undefined) return { ms: wanted.ms, seq: wanted.seq }
  if (wanted.ms === stream.last.ms) return { ms: wanted.ms, seq: stream.last.seq + 1 }
  return { ms: wanted.ms, seq: 0 }
}

/** Never goes back, whatever the clock does. */
function nextId(stream: Stream, now: number): StreamId {
  if (now > stream.last.ms) return { ms: now, seq: 0 }
  return { ms: stream.last.ms, seq: stream.last.seq + 1 }
}

function xrange(db: Keyspace, args: readonly Bytes[], reverse: boolean): Value {
  const start = rangeStart(args[reverse ? 3 : 2]!)
  const stop = rangeStop(args[reverse ? 2 : 3]!)
  let limit = Infinity
  for (let index = 4; index < args.length; index += 2) {
    if (args[index]!.toUpperCase() !== "COUNT" || index + 1 >= args.length) throw syntaxError()
    limit = Math.max(0, integerArgument(args[index + 1]!))
  }
  const stream = db.find(args[1]!, "stream")
  if (stream === undefined) return []
  if (limit === 0) return null
  return stream.range(start, stop, limit, reverse).map(entryReply)
}

function entryReply(entry: Entry): Value {
  return [formatId(entry), [...entry.fields]]
}

function xinfo(db: Keyspace, args: readonly Bytes[]): Value {
  if (args[1]!.toUpperCase() !== "STREAM")
    throw new CommandError(`ERR unknown subcommand '${args[1]}'. Try XINFO HELP.`)
  if (args.length < 3) throw arityError("xinfo|stream")
  const stream = db.find(args[2]!, "stream")
  if (stream === undefined) throw new CommandError("ERR no such key")
  if (args.length > 3)
    throw new CommandError(
      `ERR unknown subcommand or wrong number of arguments for '${args[1]}'. Try XINFO HELP.`,
    )
  const first = stream.first()
  const last = stream.range({ ms: 0, seq: 0 }, lastId, 1, true)[0]
  return [
    ["length", stream.length],
    ["radix-tree-keys", stream.nodeCount],
    ["radix-tree-nodes", stream.nodeCount + 1],
    ["last-generated-id", formatId(stream.last)],
    ["max-deleted-entry-id", formatId(stream.maxDeleted)],
    ["entries-added", stream.added],
    ["recorded-first-entry-id", formatId(first ?? { ms: 0, seq: 0 })],
    ["groups", 0],
    ["first-entry", first === undefined ? null : entryReply(first)],
    ["last-entry", last === undefined ? null : entryReply(last)],
  ].flat(1)
}
