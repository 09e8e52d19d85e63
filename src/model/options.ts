import { type Duration, durationMs, show } from "./duration.ts"
import { TaskoraError } from "./errors.ts"

/** Refuses what is not a plain object of known names, naming the nearest known one. */
export function checkNames(options: unknown, known: readonly string[], what: string): void {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw invalid(`${what} must be an object, not ${show(options)}`)
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const near = nearest(name, known)
    throw invalid(`${what}: there is no option ${show(name)}${near ? `; did you mean "${near}"?` : ""}`)
  }
}

export function invalid(message: string): TaskoraError {
  return new TaskoraError(message, "INVALID")
}

/** A whole number within bounds. @throws TaskoraError (`INVALID`) */
export function wholeNumber(
  value: unknown,
  what: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value
  const bounds = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
  throw invalid(`${what} must be a whole number ${bounds}, not ${show(value)}`)
}

/** The known name that takes the fewest changes of letters, if it takes few. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let fewest = Math.max(2, Math.floor(name.length / 2))
  for (const candidate of known) {
    const changes = distance(name.toLowerCase(), candidate.toLowerCase())
    if (changes <= fewest) {
      fewest = changes - 1
      best = candidate
    }
  }
  return best
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + change))
    }
    row = next
  }
  return row[b.length]!
}

export interface Keep {
  /** How long an ended job's record is kept. */
  readonly maxAge?: Duration
  /** How many are kept, the newest ones. 0 keeps none. */
  readonly maxItems?: number
}

export interface RetentionOptions {
  /** Default: an hour, 100 jobs. */
  readonly completed?: Keep
  /** Cancelled jobs too. Default: seven days, 300 jobs. */
  readonly failed?: Keep
}

export interface Retention {
  readonly completed: { readonly maxAgeMs: number; readonly maxItems: number }
  readonly failed: { readonly maxAgeMs: number; readonly maxItems: number }
}

export const defaultRetention: Retention = Object.freeze({
  completed: { maxAgeMs: 3_600_000, maxItems: 100 },
  failed: { maxAgeMs: 7 * 86_400_000, maxItems: 300 },
})

export function resolveRetention(
  options: RetentionOptions | undefined,
  fallback: Retention,
  what: string,
): Retention {
  if (options === undefined) return fallback
  checkNames(options, ["completed", "failed"], what)
  const resolve = (name: "completed" | "failed") => {
    const keep = options[name]
    if (keep === undefined) return fallback[name]
    checkNames(keep, ["maxAge", "maxItems"], `${what}.${name}`)
    return {
      maxAgeMs:
        keep.maxAge === undefined
          ? fallback[name].maxAgeMs
          : durationMs(keep.maxAge, `${what}.${name}.maxAge`),
      maxItems:
        keep.maxItems === undefined
          ? fallback[name].maxItems
          : wholeNumber(keep.maxItems, `${what}.${name}.maxItems`, 0),
    }
  }
  return { completed: resolve("completed"), failed: resolve("failed") }
}
