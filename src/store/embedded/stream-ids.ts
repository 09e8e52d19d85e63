import type { Bytes } from "./bytes.ts"
import { CommandError } from "./reply.ts"
import { firstId, lastId, type StreamId } from "./stream.ts"

const highestPart = 2n ** 64n - 1n

const invalid = () => new CommandError("ERR Invalid stream ID specified as stream command argument")

/** Reads "ms-seq" or "ms"; `missingSeq` stands for a sequence that was left out. Beyond 2^53 ids are rounded. */
export function parseId(text: Bytes, missingSeq: number): StreamId {
  const match = /^([0-9]{1,20})(?:-([0-9]{1,20}))?$/.exec(text)
  if (match === null) throw invalid()
  return { ms: part(match[1]!), seq: match[2] === undefined ? missingSeq : part(match[2]) }
}

function part(digits: Bytes): number {
  if (digits.length > 19 && BigInt(digits) > highestPart) throw invalid()
  return Number(digits)
}

export function rangeStart(text: Bytes): StreamId {
  if (text === "-") return firstId
  if (text === "+") return lastId
  if (!text.startsWith("(")) return parseId(text, 0)
  const { ms, seq } = parseId(text.slice(1), 0)
  return { ms, seq: seq + 1 }
}

export function rangeStop(text: Bytes): StreamId {
  if (text === "-") return firstId
  if (text === "+") return lastId
  if (!text.startsWith("(")) return parseId(text, Infinity)
  const { ms, seq } = parseId(text.slice(1), Infinity)
  if (seq > 0) return { ms, seq: seq - 1 }
  if (ms === 0) throw new CommandError("ERR invalid end ID for the interval")
  return { ms: ms - 1, seq: Infinity }
}
