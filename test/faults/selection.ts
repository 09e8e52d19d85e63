import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { buildProgram, type Program } from "../support/program.ts"
import { redisAvailable } from "../support/redis-server.ts"
import type { Fault } from "./fault.ts"
import { losingTrials } from "./faults-losing.ts"
import { networkFaults } from "./faults-network.ts"
import { processFaults } from "./faults-processes.ts"
import { redisFaults } from "./faults-redis.ts"
import { type TrialResult, trial } from "./trial.ts"

const all = [...processFaults, ...networkFaults, ...redisFaults, ...losingTrials.map(({ fault }) => fault)]

/** Trials with a fixed seed, each of some named faults one after the other. Call it where the tests are declared. */
export function trials(
  title: string,
  tests: (run: (names: readonly string[], idleMs?: number) => Promise<TrialResult>) => void,
): void {
  describe.skipIf(!redisAvailable())(title, () => {
    let program: Program
    let seed = 0
    beforeAll(async () => {
      program = await buildProgram(join(import.meta.dirname, "pod.ts"))
    })
    afterAll(() => program.remove())
    tests(async (names, idleMs = 0) => {
      const faults = names.map((name) => named(name))
      const losing = losingTrials.find(({ fault }) => faults.includes(fault))
      const result = await trial({
        program,
        seed: ++seed,
        directory: join(import.meta.dirname, "../../.tmp/faults", title.replaceAll(" ", "-")),
        leaseMs: 1500,
        idleMs,
        persistence: losing?.persistence ?? (faults.some(({ needs }) => needs) ? "always" : "none"),
        ...(losing?.replicated ? { replicated: true } : {}),
        faults,
      })
      const hit = new Set(result.strikes.filter(({ landed }) => landed).map(({ fault }) => fault))
      expect([...hit], "what landed in its window").toEqual([...new Set(names)])
      expect(result.violations, `ledgers in ${result.directory}`).toEqual([])
      return result
    })
  })
}

function named(name: string): Fault {
  const fault = all.find((one) => one.name === name)
  if (!fault) throw new Error(`there is no fault "${name}"`)
  return fault
}

export { expect, it }
