import type { Core } from "../store/core.ts"
import { type ErrorKey, errorKey } from "./errors-alike.ts"
import { readFailures } from "./failures.ts"

/** Failed jobs of one task that failed alike. */
export interface ErrorGroup {
  readonly task: string
  /** What `deadLetters.list()` and `retryAll()` take as `error` to mean exactly these. */
  readonly error: ErrorKey
  /** Jobs that are kept; what retention has trimmed is not counted. */
  readonly count: number
  /** When the first and the last of them failed, server time, ms since the epoch. */
  readonly firstSeen: number
  readonly lastSeen: number
  /** Ids of the newest ones, at most five. */
  readonly samples: readonly string[]
}

const mostSamples = 5

/** Reads a task's failed jobs page by page, the newest first. */
export async function groupFailures(core: Pick<Core, "link">, task: string): Promise<ErrorGroup[]> {
  const groups = new Map<string, ErrorGroup>()
  for (let after: number | undefined; ; ) {
    const page = await readFailures(core, task, { way: "newest", after })
    for (const { id, finished, outcome } of page) {
      const error = errorKey(outcome)
      const key = `${error.type}\n${error.message}`
      const known = groups.get(key) ?? {
        task,
        error,
        count: 0,
        lastSeen: finished,
        firstSeen: 0,
        samples: [],
      }
      groups.set(key, {
        ...known,
        count: known.count + 1,
        firstSeen: finished,
        samples: known.samples.length < mostSamples ? [...known.samples, id] : known.samples,
      })
    }
    const last = page.at(-1)
    if (!last) return [...groups.values()]
    after = last.seq
  }
}
