import { TaskoraError } from "../src/model/errors.ts"

/**
 * Rejects option names that do not exist, naming the nearest that does.
 * @throws TaskoraError (`INVALID`)
 */
export function checkOptionNames(options: object, known: readonly string[], where: string) {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    throw new TaskoraError(
      `${where}: unknown option "${name}"; did you mean "${nearest(name, known)}"?`,
      "INVALID",
    )
  }
}

/** The known name with the fewest letters to insert, delete or replace. */
function nearest(name: string, known: readonly string[]): string {
  let best = known[0]!
  for (const candidate of known) if (distance(name, candidate) < distance(name, best)) best = candidate
  return best
}

/** Levenshtein's, without regard to case. */
function distance(from: string, to: string): number {
  const source = from.toLowerCase()
  const target = to.toLowerCase()
  let row = Array.from({ length: target.length + 1 }, (_, index) => index)
  for (let i = 1; i <= source.length; i++) {
    const next = [i]
    for (let j = 1; j <= target.length; j++) {
      const replaced = row[j - 1]! + (source[i - 1] === target[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[target.length]!
}
