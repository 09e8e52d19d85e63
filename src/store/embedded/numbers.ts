import type { Bytes } from "./bytes.ts"
import { CommandError } from "./reply.ts"

const integer = /^(?:0|-?[1-9][0-9]{0,18})$/
const decimal = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?$/i
const infinite = /^([+-]?)inf(?:inity)?$/i
const lowest = -(2n ** 63n)
const highest = 2n ** 63n - 1n

function withinInt64(text: Bytes): boolean {
  if (text.length < 19) return true
  const value = BigInt(text)
  return value >= lowest && value <= highest
}

/** Reads a signed 64-bit integer as strictly as Redis does: no sign "+", no leading zeros, no spaces. Beyond 2^53 it is rounded. */
export function parseInteger(text: Bytes): number | undefined {
  if (!integer.test(text) || !withinInt64(text)) return undefined
  return Number(text)
}

export function integerArgument(
  text: Bytes,
  message = "ERR value is not an integer or out of range",
): number {
  const value = parseInteger(text)
  if (value === undefined) throw new CommandError(message)
  return value
}

/** For counts of LPOP and its like. */
export function positiveArgument(text: Bytes): number {
  const message = "ERR value is out of range, must be positive"
  const value = integerArgument(text, message)
  if (value < 0) throw new CommandError(message)
  return value
}

/** Adds two 64-bit integers exactly; `notInteger` is the message when the stored one is none. */
export function addIntegers(
  stored: Bytes,
  increment: Bytes,
  notInteger = "ERR value is not an integer or out of range",
): Bytes {
  const a = integerArgument(stored, notInteger)
  const b = integerArgument(increment)
  if (Number.isSafeInteger(a) && Number.isSafeInteger(b) && Number.isSafeInteger(a + b)) return String(a + b)
  const sum = BigInt(stored) + BigInt(increment)
  if (sum < lowest || sum > highest) throw new CommandError("ERR increment or decrement would overflow")
  return String(sum)
}

/** Reads a score. Hexadecimal floats, which strtod takes, are not supported. */
export function parseFloat64(text: Bytes): number | undefined {
  if (decimal.test(text)) return Number(text)
  const match = infinite.exec(text)
  if (match === null) return undefined
  return match[1] === "-" ? -Infinity : Infinity
}

export function floatArgument(text: Bytes, message = "ERR value is not a valid float"): number {
  const value = parseFloat64(text)
  if (value === undefined) throw new CommandError(message)
  return value
}

/** Formats a double as C's "%.17g": what Redis 7.0 answers for scores and makes of Lua numbers. */
export function formatDouble(value: number): Bytes {
  if (Number.isSafeInteger(value)) return Object.is(value, -0) ? "-0" : String(value)
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf"
  const [digits, exponentText] = value.toExponential(16).split("e") as [string, string]
  const exponent = Number(exponentText)
  if (exponent < -4 || exponent >= 17) {
    const sign = exponent < 0 ? "-" : "+"
    return `${trimZeros(digits)}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`
  }
  return trimZeros(value.toFixed(16 - exponent))
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text
}
