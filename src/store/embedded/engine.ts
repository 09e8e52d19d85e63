import type { Clock } from "../../model/clock.ts"
import { type Reply, type ScriptSource, StoreError } from "../store.ts"
import { type Bytes, fromBytes, toBytes } from "./bytes.ts"
import { Channels } from "./channels.ts"
import { execute, executeFromScript } from "./commands.ts"
import { Keyspace } from "./keyspace.ts"
import { CommandError, Status, type Value } from "./reply.ts"
import { Vm } from "./vm.ts"
import { Waits } from "./waits.ts"

/** Times are below it: the last day of the calendar, ms. */
const latest = 8_640_000_000_000_000

/** One keyspace with its Lua VM, shared by every store that an adapter opens. */
export class Engine {
  readonly channels = new Channels()
  readonly waits: Waits
  readonly keyspace: Keyspace
  private vm: Vm | undefined
  private loading: Promise<Vm> | undefined

  constructor(private readonly clock: Clock) {
    this.waits = new Waits(clock)
    this.keyspace = new Keyspace(
      (channel, message) => this.channels.publish(channel, message),
      (key) => this.waits.note(key),
    )
  }

  /** Loads the Lua VM, once for all stores; a failure can be tried again. */
  async load(): Promise<void> {
    this.loading ??= loadVm((args) => executeFromScript(this.keyspace, args))
    try {
      this.vm = await this.loading
    } catch (error) {
      this.loading = undefined
      throw error
    }
  }

  /** Runs a script to its end, then serves those who waited for what it wrote. */
  run(script: ScriptSource, keys: readonly string[], args: readonly (string | number)[]): Reply {
    const { vm } = this
    if (vm === undefined) throw new StoreError("the memory store is not connected", "unsent")
    return this.answer(() =>
      vm.run(
        script.sha,
        script.text,
        keys.map(toBytes),
        args.map((arg) => (typeof arg === "string" ? toBytes(arg) : String(arg))),
      ),
    )
  }

  /** Runs one command, as a client of a server would. */
  command(args: readonly string[]): Reply {
    return this.answer(() => execute(this.keyspace, args.map(toBytes)))
  }

  /** The lowest score from `at` on among the sorted sets of tasks: whatever is due at some time stands in one by that time. */
  noted(at: number): number | undefined {
    let first: number | undefined
    const range = { min: at, minExclusive: false, max: latest, maxExclusive: false }
    for (const [key, set] of this.keyspace.sortedSets()) {
      const found = key.includes("{") ? set.byScore(range, false, 0, 1)[0]?.score : undefined
      if (found !== undefined && (first === undefined || found < first)) first = found
    }
    return first
  }

  /** Lua's memory in use after a full garbage collection, KiB. */
  luaMemory(): number {
    return this.vm?.collectGarbage() ?? 0
  }

  private answer(call: () => Value): Reply {
    this.keyspace.begin(this.clock.now())
    try {
      return toReply(call())
    } catch (error) {
      if (error instanceof CommandError)
        throw new StoreError(fromBytes(error.message), "refused", { cause: error })
      throw error
    } finally {
      this.waits.settle()
    }
  }
}

function toReply(value: Value): Reply {
  if (typeof value === "string") return fromBytes(value)
  if (typeof value === "number" || value === null) return value
  return value instanceof Status ? fromBytes(value.text) : value.map(toReply)
}

async function loadVm(runCommand: (args: Bytes[]) => Value): Promise<Vm> {
  const { LuaFactory } = await importWasmoon()
  return new Vm(await new LuaFactory().getLuaModule(), runCommand)
}

async function importWasmoon(): Promise<typeof import("wasmoon")> {
  try {
    return await import("wasmoon")
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND"
    const message = missing
      ? "memoryAdapter() needs a Lua VM that is not installed: npm install wasmoon"
      : "the Lua VM of memoryAdapter() could not be loaded"
    throw new StoreError(message, "unsent", { cause: error })
  }
}
