import { createHash } from "node:crypto"
import type { LuaFactory } from "wasmoon"
import { type Bytes, toBytes } from "./bytes.ts"
import { LuaStack, type LuaState, luaType, registryIndex } from "./lua-stack.ts"
import { formatDouble } from "./numbers.ts"
import { CommandError, Status, type Value } from "./reply.ts"
import { sandbox } from "./sandbox.ts"
import { readResult } from "./script-result.ts"

/** Runs a command for a script; throws a CommandError for an error reply. */
export type Execute = (args: Bytes[]) => Value

const chunkName = "@user_script"
const sandboxName = "=sandbox"
/** The index in the registry of the table of globals that a loaded chunk gets. */
const globalsInRegistry = 2n
const outOfMemory = "ERR Lua has no memory left"

/**
 * A Lua VM that runs the scripts Redis runs, one at a time and to the end. A Lua error undoes nothing that was
 * written before it, as on Redis.
 */
export class Vm {
  private readonly L: LuaState
  private readonly stack: LuaStack
  private readonly functions = new Map<string, bigint>()
  private readonly names: {
    keys: number
    argv: number
    err: number
    ok: number
    ignored: number
    chunk: number
  }
  /** The values the sandbox answered, by their place on the Lua stack, where they stay for ever. */
  private readonly places = { globals: 1, handler: 2, collect: 3 }
  /** An exception that is no error reply; it must not be lost to a script's pcall. */
  private bug: { thrown: unknown } | undefined

  constructor(
    wasmoon: Awaited<ReturnType<LuaFactory["getLuaModule"]>>,
    private readonly execute: Execute,
  ) {
    this.stack = new LuaStack(wasmoon.module)
    const name = (text: string) => this.stack.name(text)
    this.names = {
      keys: name("KEYS"),
      argv: name("ARGV"),
      err: name("err"),
      ok: name("ok"),
      ignored: name("ignore_error_stats_update"),
      chunk: name(chunkName),
    }
    this.L = this.stack.api._luaL_newstate()
    this.stack.api._luaL_openlibs(this.L)
    this.openSandbox()
  }

  /** Runs a script; throws a CommandError with the text a Redis client would get. */
  run(sha: string, text: string, keys: readonly Bytes[], args: readonly Bytes[]): Value {
    const { api } = this.stack
    const { L } = this
    const base = api._lua_gettop(L)
    try {
      const fn = this.functions.get(sha) ?? this.compile(sha, text)
      this.stack.pushStrings(L, keys)
      api._lua_setfield(L, this.places.globals, this.names.keys)
      this.stack.pushStrings(L, args)
      api._lua_setfield(L, this.places.globals, this.names.argv)
      api._lua_rawgeti(L, registryIndex, fn)
      const failed = api._lua_pcallk(L, 0, 1, this.places.handler, 0, 0) !== 0
      this.throwBug()
      if (failed) throw scriptError(this.stack.readString(L, -1), sha)
      return readResult(this.stack, L, base + 1, this.names)
    } finally {
      api._lua_settop(L, base)
    }
  }

  /** Runs a full garbage collection and answers what is still in use, KiB. */
  collectGarbage(): number {
    const { api } = this.stack
    api._lua_pushvalue(this.L, this.places.collect)
    api._lua_pcallk(this.L, 0, 1, 0, 0, 0)
    const used = api._lua_tonumberx(this.L, -1, 0)
    api._lua_settop(this.L, -2)
    return used
  }

  private openSandbox(): void {
    const { api } = this.stack
    const { L } = this
    this.load(sandbox, this.stack.name(sandboxName))
    for (const fn of [
      (state: LuaState) => this.call(state, true),
      (state: LuaState) => this.call(state, false),
      (state: LuaState) => this.sha1hex(state),
    ])
      api._lua_pushcclosure(L, this.stack.callback(fn), 0)
    if (api._lua_pcallk(L, 3, 4, 0, 0, 0) !== 0)
      throw new Error(`the sandbox failed: ${this.stack.readString(L, -1)}`)
    api._lua_rotate(L, 2, -1)
    api._lua_rawseti(L, registryIndex, globalsInRegistry)
  }

  private load(text: Bytes, name: number): void {
    const { api } = this.stack
    const status = api._luaL_loadbufferx(this.L, this.stack.write(text), text.length, name, 0)
    if (status !== 0)
      throw new CommandError(
        `ERR Error compiling script (new function): ${this.stack.readString(this.L, -1)}`,
      )
  }

  private compile(sha: string, text: string): bigint {
    this.load(toBytes(text), this.names.chunk)
    const fn = BigInt(this.stack.api._luaL_ref(this.L, registryIndex))
    this.functions.set(sha, fn)
    return fn
  }

  /** redis.call and redis.pcall. Nothing may be thrown through Lua's frames but what lua_error itself throws. */
  private call(L: LuaState, raise: boolean): number {
    try {
      this.pushValue(L, this.execute(this.readArguments(L)))
      return 1
    } catch (error) {
      if (!(error instanceof CommandError)) this.bug ??= { thrown: error }
      this.pushError(L, error instanceof CommandError ? error.message : "ERR internal error")
    }
    if (raise || this.bug !== undefined) return this.stack.api._lua_error(L)
    return 1
  }

  private readArguments(L: LuaState): Bytes[] {
    const { api } = this.stack
    const count = api._lua_gettop(L)
    if (count === 0)
      throw new CommandError("ERR Please specify at least one argument for this redis lib call")
    const args: Bytes[] = new Array(count)
    for (let index = 1; index <= count; index++) {
      const type = api._lua_type(L, index)
      if (type === luaType.string) args[index - 1] = this.stack.readString(L, index)
      else if (type === luaType.number) args[index - 1] = formatDouble(api._lua_tonumberx(L, index, 0))
      else throw new CommandError("ERR Lua redis lib command arguments must be strings or integers")
    }
    return args
  }

  private sha1hex(L: LuaState): number {
    const text = this.stack.api._lua_type(L, 1) === luaType.string ? this.stack.readString(L, 1) : ""
    this.stack.pushString(L, createHash("sha1").update(text, "latin1").digest("hex"))
    return 1
  }

  private pushValue(L: LuaState, value: Value): void {
    const { api } = this.stack
    if (typeof value === "string") this.stack.pushString(L, value)
    else if (typeof value === "number") this.stack.pushInteger(L, value)
    else if (value === null) api._lua_pushboolean(L, 0)
    else if (value instanceof Status) {
      api._lua_createtable(L, 0, 1)
      this.stack.pushString(L, value.text)
      api._lua_setfield(L, -2, this.names.ok)
    } else {
      if (api._lua_checkstack(L, 4) === 0) throw new CommandError(outOfMemory)
      api._lua_createtable(L, value.length, 0)
      for (let index = 0; index < value.length; index++) {
        this.pushValue(L, value[index]!)
        api._lua_rawseti(L, -2, this.stack.bigint(index + 1))
      }
    }
  }

  private pushError(L: LuaState, message: string): void {
    const { api } = this.stack
    api._lua_createtable(L, 0, 2)
    this.stack.pushString(L, message)
    api._lua_setfield(L, -2, this.names.err)
    api._lua_pushboolean(L, 1)
    api._lua_setfield(L, -2, this.names.ignored)
  }

  private throwBug(): void {
    if (this.bug === undefined) return
    const { thrown } = this.bug
    this.bug = undefined
    throw thrown
  }
}

/** The text that Redis 7 makes of an error that ended a script. */
function scriptError(text: Bytes, sha: string): CommandError {
  const at = text.lastIndexOf("\n")
  const message = text.slice(0, at).replace(/[\r\n]/g, " ")
  return new CommandError(`${message} script: ${sha}, on ${chunkName}:${text.slice(at + 1)}.`)
}
