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
  const digits = exclusive ? text.slice(1) : text
  // Redis takes the end of the text for the end of a number here, though not where a score is set.
  return digits === "" ? 0 : floatArgument(digits, "ERR min or max is not a float")
}
