import type { Bytes } from "./bytes.ts"
import { floatArgument } from "./numbers.ts"
import type { ScoreRange } from "./sorted-set.ts"

/** Reads bounds such as `5`, `(5`, `-inf`. */
export function scoreRange(min: Bytes, max: Bytes): ScoreRange {
  const minExclusive = min.startsWith("(")
  const maxExclusive = max.startsWith("(")
  return { min: bound(min, minExclusive), minExclusive, max: bound(max, maxExclusive), maxExclusive }
}

function bound(text: Bytes, exclusive: boolean): number {
  return floatArgument(exclusive ? text.slice(1) : text, "ERR min or max is not a float")
}
