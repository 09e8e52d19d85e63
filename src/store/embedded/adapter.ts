import { type Clock, systemClock } from "../../model/clock.ts"
import { checkPrefix } from "../../model/names.ts"
import { checkNames } from "../../model/options.ts"
import type { Adapter, Reply } from "../store.ts"
import { Engine } from "./engine.ts"
import { EmbeddedStore } from "./store.ts"

export interface MemoryAdapterOptions {
  /** Where time and timers come from; a clock turned by hand gives virtual time. Default: the system's. */
  readonly clock?: Clock
  /** Namespace before every key, without braces. Default: none. */
  readonly prefix?: string
}

export interface MemoryAdapter extends Adapter {
  readonly kind: "memory"
  /**
   * Runs one command on the keyspace, for tests that look inside. Throws a StoreError for an error reply.
   * @internal
   */
  command(args: readonly string[]): Reply
  /**
   * Memory that the Lua VM uses after a full collection, KiB.
   * @internal
   */
  luaMemory(): number
  /**
   * The first moment from `at` on, in ms, that some task's data speak of: when a delayed job falls due, a lease runs out.
   * @internal
   */
  noted(at: number): number | undefined
}

const optionNames: readonly string[] = ["clock", "prefix"] satisfies (keyof MemoryAdapterOptions)[]

/**
 * Keeps jobs in the memory of this process, for development, tests and programs of one process. All apps opened on
 * one adapter share the same data, which live as long as the adapter. Needs the package `wasmoon`, which is loaded
 * at the first connect.
 *
 * @throws TaskoraError (`INVALID`) for unknown options and for a prefix that cannot be used.
 * @example
 * const taskora = createTaskora({ adapter: memoryAdapter() })
 */
export function memoryAdapter(options: MemoryAdapterOptions = {}): MemoryAdapter {
  checkNames(options, optionNames, "memoryAdapter")
  const prefix = checkPrefix(options.prefix)
  const clock = options.clock ?? systemClock
  const engine = new Engine(clock)
  return {
    kind: "memory",
    prefix,
    clock,
    open: (_instance, listeners) => new EmbeddedStore(engine, listeners),
    command: (args) => engine.command(args),
    luaMemory: () => engine.luaMemory(),
    noted: (at) => engine.noted(at),
  }
}
