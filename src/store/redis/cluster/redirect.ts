import { ReplyError } from "../failures.ts"
import type { Place } from "../target.ts"

/** A node's answer that another one serves the slot: for good ("MOVED"), or for this one call ("ASK"). */
export interface Redirect {
  readonly kind: "MOVED" | "ASK"
  readonly slot: number
  /** The host is empty where it is the one that was asked. */
  readonly place: Place
}

export function redirectOf(error: unknown): Redirect | undefined {
  if (!(error instanceof ReplyError) || (error.code !== "MOVED" && error.code !== "ASK")) return undefined
  const [, slot, host, port] = /\b(?:MOVED|ASK) (\d+) (\S*):(\d+)/.exec(error.message) ?? []
  if (slot === undefined || host === undefined) return undefined
  return { kind: error.code, slot: Number(slot), place: { host, port: Number(port) } }
}
