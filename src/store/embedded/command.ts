import type { Bytes } from "./bytes.ts"
import type { Keyspace } from "./keyspace.ts"
import type { Value } from "./reply.ts"

export interface Command {
  /** As Redis gives it: the exact number of words, command included, or, negative, the least. */
  readonly arity: number
  /** `args[0]` is the command's own name, as written by the caller. */
  run(db: Keyspace, args: readonly Bytes[]): Value
}

export type Commands = Readonly<Record<string, Command>>

/** Turns a range given by indexes, negative ones counting from the end, into one within 0..length-1; undefined if empty. */
export function clampRange(
  start: number,
  stop: number,
  length: number,
): readonly [start: number, stop: number] | undefined {
  const from = Math.max(start < 0 ? start + length : start, 0)
  const to = Math.min(stop < 0 ? stop + length : stop, length - 1)
  return from > to ? undefined : [from, to]
}
