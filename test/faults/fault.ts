import type { Deployment } from "./deployment.ts"
import type { Prng } from "./prng.ts"

/** What became of a fault: its proof, or why it did not hit its window. */
export type Landing =
  | { readonly landed: true; readonly proof: string }
  | { readonly landed: false; readonly why: string }

/** One way to hurt a running deployment. */
export interface Fault {
  readonly name: string
  readonly group: "processes" | "network" | "redis"
  /** Between what it is to hit. */
  readonly window: string
  /** How often it is chosen, beside the others. */
  readonly weight: number
  /** Undefined: any. */
  readonly needs?: (deployment: Deployment) => boolean
  /** Hurts, and heals again; processes that are gone are started anew by whoever calls. */
  strike(deployment: Deployment, random: Prng): Promise<Landing>
}

export const landed = (proof: string): Landing => ({ landed: true, proof })
export const missed = (why: string): Landing => ({ landed: false, why })
