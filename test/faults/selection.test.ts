import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { buildProgram, type Program } from "../support/program.ts"
import { redisAvailable } from "../support/redis-server.ts"
import { networkFaults } from "./faults-network.ts"
import { processFaults } from "./faults-processes.ts"
import { redisFaults } from "./faults-redis.ts"
import { trial } from "./trial.ts"

const all = [...processFaults, ...networkFaults, ...redisFaults]
const directory = join(import.meta.dirname, "../../.tmp/faults")

describe.skipIf(!redisAvailable())("faults", () => {
  let program: Program
  beforeAll(async () => {
    mkdirSync(directory, { recursive: true })
    program = await buildProgram(join(import.meta.dirname, "pod.ts"))
  })
  afterAll(() => program.remove())

  it.each(all.map(({ name }) => name))(
    "%s",
    async (name) => {
      const fault = all.find((one) => one.name === name)!
      const persistence = fault.needs ? "always" : "none"
      const result = await trial({
        program,
        seed: 1,
        directory,
        leaseMs: 1500,
        persistence,
        faults: [fault],
        said: (strike) => console.log(JSON.stringify(strike)),
      })
      expect(result.violations).toEqual([])
      expect(result.strikes.at(-1)).toMatchObject({ landed: true })
    },
    90_000,
  )
})
