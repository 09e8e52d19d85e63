import type { FinalState } from "./final-state.ts"
import type { Observation } from "./observations.ts"
import type { Fate, Role } from "./pods.ts"
import type { Line } from "./stream-lines.ts"

/** All that a trial left to be judged: what processes logged, what the streams said, what lies in Redis. */
export interface Evidence {
  readonly pods: readonly PodEvidence[]
  readonly tasks: readonly TaskEvidence[]
  readonly settings: Settings
  /** Data that the server itself lost: acknowledged work of these windows may be gone, the rest may not. */
  readonly losses: readonly Loss[]
  /** How long work took to go on after each fault had healed. */
  readonly recoveries: readonly { readonly fault: string; readonly ms: number }[]
  readonly idle?: { readonly commandsPerSecond: number; readonly cpuShare: number }
  /** What was on the server after the last process had gone. */
  readonly remains: { readonly clients: number; readonly keys: readonly string[] }
}

export interface PodEvidence {
  readonly name: string
  readonly role: Role
  /** `killed`: it may have ended between any two lines. */
  readonly fate: Fate
  readonly slots: number
  readonly observations: readonly Observation[]
  /** When it could not run: ms since the epoch. */
  readonly stops: readonly { readonly from: number; readonly to: number }[]
  readonly goneAt?: number
  readonly exitCode?: number | null
}

export interface TaskEvidence {
  readonly task: string
  readonly lines: readonly Line[]
  /** What a server said before it was lost, and no other says. */
  readonly lostLines: readonly Line[]
  readonly state: FinalState
}

export interface Settings {
  readonly leaseMs: number
  /** Of a worker, over all tasks. */
  readonly recoverWithinMs: number
  /** For what the machine's scheduler adds, ms. */
  readonly slackMs: number
  /** Everything was given the time to end. */
  readonly drained: boolean
}

export interface Loss {
  /** ms since the epoch, both ends included. */
  readonly from: number
  readonly to: number
}

export const invariants = [
  "I1",
  "I2",
  "I3",
  "I4",
  "I5",
  "I6",
  "I7",
  "I8",
  "I9",
  "I10",
  "I11",
  "I12",
  "I13",
  "I14",
] as const
export type Invariant = (typeof invariants)[number]

export interface Violation {
  readonly invariant: Invariant
  readonly text: string
}

/** Whether something that was acknowledged between the two may have been lost with the server's data. */
export function mayBeLost({ losses }: Evidence, from: number, to = from): boolean {
  return losses.some((loss) => from <= loss.to && to >= loss.from)
}
