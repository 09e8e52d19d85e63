import { mkdirSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { builtProgram } from "../support/program.ts"
import type { Fault } from "./fault.ts"
import { losingTrials } from "./faults-losing.ts"
import { networkFaults } from "./faults-network.ts"
import { processFaults } from "./faults-processes.ts"
import { redisFaults } from "./faults-redis.ts"
import { Prng } from "./prng.ts"
import { SoakReport } from "./soak-report.ts"
import { type TrialResult, trial } from "./trial.ts"

const usage = `npm run soak -- [--minutes N] [--faults N] [--seed S] [--side-by-side N] [--report FILE] [--go-on]
npm run soak -- --trial SEED [--only TEXT]
Hurts deployments of real processes at random until both limits are reached, and holds their ledgers against each other.
Ends with 1 at the first violation of an invariant, or after all where it is to go on; its ledgers are kept. One trial can be repeated by its seed.`

const root = join(import.meta.dirname, process.env.TASKORA_SOAK_ROOT ?? "../..")
const leaseMs = 1500
const mostFaults = 14
const general = [...processFaults, ...networkFaults, ...redisFaults]

/** What a seed stands for: always the same faults in the same order. */
function planned(seed: number, only: string | undefined) {
  const random = new Prng(seed)
  const losing = random.chance(0.12)
  const faults: Fault[] = []
  if (losing && only === undefined) {
    const kind = random.weighed(losingTrials)
    return {
      persistence: kind.persistence,
      replicated: kind.replicated === true,
      faults: [kind.fault],
      workers: 2,
    }
  }
  const persistence = random.pick(["none", "always", "everysec"] as const)
  const fitting = general.filter(
    ({ needs, name }) => (!needs || persistence === "always") && (only === undefined || name.includes(only)),
  )
  for (let i = 0; i < mostFaults && fitting.length > 0; i++) faults.push(random.weighed(fitting))
  return { persistence, replicated: false, faults, workers: random.between(2, 3) }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "1" },
      faults: { type: "string", default: "0" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      trial: { type: "string" },
      only: { type: "string" },
      "side-by-side": { type: "string", default: String(Math.max(2, availableParallelism())) },
      report: { type: "string" },
      "go-on": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  const seed = Number(values.seed)
  const directory = join(root, ".tmp/faults")
  mkdirSync(directory, { recursive: true })
  const program = builtProgram(join(import.meta.dirname, "pod.js"))
  const report = new SoakReport({ seed, command: `npm run soak -- ${process.argv.slice(2).join(" ")}` })
  const endAt = performance.now() + Number(values.minutes) * 60_000
  const wanted = Number(values.faults)
  const enough = () => {
    if (values.trial !== undefined) return report.trials > 0 || report.failed
    if (report.failed && !values["go-on"]) return true
    return performance.now() >= endAt && report.landed >= wanted
  }
  const seeds = new Prng(seed)

  async function side(): Promise<void> {
    while (!enough()) {
      const own = values.trial === undefined ? seeds.fork() : Number(values.trial)
      await one(own)
    }
  }

  async function one(own: number): Promise<void> {
    const plan = planned(own, values.only)
    let result: TrialResult | undefined
    try {
      result = await trial({
        program,
        seed: own,
        directory,
        leaseMs,
        ...plan,
        // A trial that has begun as the time was up ends early, but its ledgers are judged all the same.
        goesOn: () => values.trial !== undefined || !enough(),
        said: (strike) => report.strike(own, strike),
      })
    } catch (error) {
      report.broke(own, error)
      return
    }
    report.ended(result)
  }

  console.log(`soak with seed ${seed}`)
  const sides = values.trial === undefined ? Number(values["side-by-side"]) : 1
  await Promise.all(Array.from({ length: sides }, side))
  program.remove()
  console.log(report.text())
  if (values.report !== undefined) report.write(join(root, values.report))
  return report.failed ? 1 : 0
}

process.on("unhandledRejection", (error) => {
  console.error("unhandled rejection in the harness:", error)
  process.exit(1)
})
process.exit(await main())
