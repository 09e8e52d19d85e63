import { asAsked, counted, heard } from "./checks/counts.ts"
import { inOrder, noLoss, oneEnd, onePlace } from "./checks/jobs.ts"
import { cleanedUp, lively, quiet } from "./checks/processes.ts"
import { alone, explained, fenced, truthful } from "./checks/runs.ts"
import type { Evidence, Violation } from "./evidence.ts"
import { type Told, tell } from "./stories.ts"

const checks: readonly ((told: Told) => Iterable<Violation>)[] = [
  noLoss,
  onePlace,
  oneEnd,
  inOrder,
  fenced,
  explained,
  alone,
  counted,
  asAsked,
  heard,
  lively,
  cleanedUp,
  quiet,
  truthful,
]

/** What the ledgers say against the invariants I1 to I14; nothing where all hold. */
export function violations(evidence: Evidence): Violation[] {
  const told = tell(evidence)
  return checks.flatMap((check) => [...check(told)])
}
