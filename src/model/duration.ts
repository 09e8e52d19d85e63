import { TaskoraError } from "./errors.ts"

/** A number of milliseconds, or a number with a unit: `"500ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A hundred years: longer is a mistake, and would not fit into a score beside other numbers. */
const longestMs = 100 * 365 * 86_400_000

/**
 * The duration in whole ms. `what` names the option in the error.
 * @throws TaskoraError (`INVALID`) for anything that is not a duration of at least `leastMs`.
 */
export function durationMs(value: unknown, what: string, leastMs = 0): number {
  const ms = typeof value === "string" ? parse(value) : value
  if (typeof ms === "number" && Number.isFinite(ms) && ms >= leastMs && ms <= longestMs) return Math.round(ms)
  const least = leastMs > 0 ? ` of at least ${leastMs} ms` : ""
  throw new TaskoraError(
    `${what}: ${show(value)} is not a duration${least}; give a number of ms, or text such as "500ms", "30s", "5m", "2h", "1d"`,
    "INVALID",
  )
}

function parse(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  return match ? Number(match[1]) * unitMs[match[2]!]! : Number.NaN
}

/** A value as a person would recognise it in a message, short and on one line. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (typeof value === "bigint") return `${value}n`
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object"
  if (typeof value === "function") return "a function"
  return String(value)
}
