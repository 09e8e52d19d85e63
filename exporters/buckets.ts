import { checkNames, invalid } from "../src/model/options.ts"

/** Bounds of buckets by the name of a histogram. */
export type Buckets = Readonly<Record<string, readonly number[]>>

/**
 * Checks the option `buckets` of an observer.
 * @throws TaskoraError (`INVALID`) for a histogram that is not among `names`, or bounds that do not rise
 */
export function checkBuckets(buckets: Buckets, names: readonly string[], observer: string): Buckets {
  checkNames(buckets, names, `option "buckets" of ${observer}`)
  for (const [name, bounds] of Object.entries<unknown>(buckets))
    if (!isRising(bounds))
      throw invalid(
        `${observer}: option "buckets.${name}" is ${shown(bounds)}; it must be 1 to 100 rising finite numbers.`,
      )
  return buckets
}

function isRising(bounds: unknown): boolean {
  return (
    Array.isArray(bounds) &&
    bounds.length > 0 &&
    bounds.length <= 100 &&
    bounds.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > bounds[i - 1]))
  )
}

function shown(value: unknown): string {
  const text = String(value)
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}
