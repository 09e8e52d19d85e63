import type { Bytes } from "./bytes.ts"
import { floatArgument } from "./numbers.ts"
import { CommandError } from "./reply.ts"
import type { LexRange, ScoreRange } from "./sorted-set.ts"

/** Reads bounds such as `5`, `(5`, `-inf`. */
export function scoreRange(min: Bytes, max: Bytes): ScoreRange {
  const minExclusive = min.startsWith("(")
  const maxExclusive = max.startsWith("(")
  return { min: bound(min, minExclusive), minExclusive, max: bound(max, maxExclusive), maxExclusive }
}

function bound(text: Bytes, exclusive: boolean): number {
  const digits = exclusive ? text.slice(1) : text
  // Redis takes the end of the text for the end of a number here, though not where a score is set.
  return digits === "" ? 0 : floatArgument(digits, "ERR min or max is not a float")
}

/** Reads bounds such as `[a`, `(a`, `-`, `+`. */
export function lexRange(min: Bytes, max: Bytes): LexRange {
  return { min: lexBound(min), max: lexBound(max) }
}

function lexBound(text: Bytes): LexRange["min"] {
  if (text === "-") return "first"
  if (text === "+") return "last"
  if (text.startsWith("[")) return { member: text.slice(1), exclusive: false }
  if (text.startsWith("(")) return { member: text.slice(1), exclusive: true }
  throw new CommandError("ERR min or max not valid string range item")
}
