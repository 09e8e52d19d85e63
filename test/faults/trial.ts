import { join } from "node:path"
import type { Program } from "../support/program.ts"
import { violations } from "./checker.ts"
import { Deployment, type Persistence } from "./deployment.ts"
import type { Evidence, Violation } from "./evidence.ts"
import type { Fault } from "./fault.ts"
import { Prng } from "./prng.ts"

/** A fault as it went. */
export interface Strike {
  readonly fault: string
  readonly group: Fault["group"]
  readonly window: string
  readonly landed: boolean
  /** Its proof, or why it did not land. */
  readonly text: string
  readonly tookMs: number
  /** From its healing to the end of a job dispatched after it. */
  readonly recoveredMs?: number
}

export interface TrialResult {
  readonly seed: number
  readonly strikes: readonly Strike[]
  readonly violations: readonly Violation[]
  readonly evidence: Evidence
  readonly jobs: number
  readonly directory: string
}

export interface TrialOptions {
  readonly program: Program
  readonly seed: number
  readonly directory: string
  readonly leaseMs: number
  readonly workers?: number
  readonly persistence?: Persistence
  readonly replicated?: boolean
  readonly idleMs?: number
  /** What is to happen; each is given the deployment and random numbers of its own. */
  readonly faults: readonly Fault[]
  readonly said?: (strike: Strike) => void
  /** Asked before each fault; where it says no, what is left is left out. */
  readonly goesOn?: () => boolean
  /** Keeps the ledgers also where all is well. */
  readonly keep?: boolean
}

const mostTries = 4

/** Starts a deployment under load, hurts it in all these ways, lets it heal, and holds the ledgers against each other. */
export async function trial(options: TrialOptions): Promise<TrialResult> {
  const { seed, faults, said } = options
  const directory = join(options.directory, `trial-${seed}`)
  const deployment = await Deployment.open({
    program: options.program,
    seed,
    directory,
    persistence: options.persistence ?? "none",
    workers: options.workers ?? 2,
    leaseMs: options.leaseMs,
    ...(options.replicated ? { replicated: true } : {}),
    ...(options.idleMs ? { idleMs: options.idleMs } : {}),
  })
  const strikes: Strike[] = []
  let broken = true
  try {
    await deployment.staff()
    await deployment.warm()
    for (const fault of faults)
      for (let tries = 0; tries < mostTries && options.goesOn?.() !== false; tries++) {
        const strike = await strikeOnce(deployment, fault)
        strikes.push(strike)
        said?.(strike)
        if (strike.landed) break
      }
    const evidence = await deployment.finish()
    const found = violations(evidence)
    broken = found.length > 0
    const jobs = evidence.tasks.reduce((sum, { state }) => sum + state.jobs.size, 0)
    return { seed, strikes, violations: found, evidence, jobs, directory }
  } finally {
    await deployment.stop(broken || options.keep === true)
  }
}

async function strikeOnce(deployment: Deployment, fault: Fault): Promise<Strike> {
  const from = performance.now()
  // Each try has a seed of its own: what did not land is not tried in the very same way.
  const landing = await fault.strike(deployment, new Prng(deployment.random.fork()))
  const tookMs = Math.round(performance.now() - from)
  const healedAt = Date.now()
  const [recoveredMs] = await Promise.all([deployment.recovery(fault.name, healedAt), deployment.restaff()])
  return {
    fault: fault.name,
    group: fault.group,
    window: fault.window,
    landed: landing.landed,
    text: landing.landed ? landing.proof : landing.why,
    tookMs,
    ...(landing.landed ? { recoveredMs: Math.round(recoveredMs) } : {}),
  }
}
