import type { LuaFactory } from "wasmoon"
import type { Bytes } from "./bytes.ts"

type LuaModule = Awaited<ReturnType<LuaFactory["getLuaModule"]>>["module"]

/** A Lua state's address; callbacks get the one of the coroutine that calls. */
export type LuaState = number

/**
 * Lua's C interface as wasmoon's module exports it. Its typed wrappers convert strings through NUL-terminated UTF-8
 * and cost microseconds a value; these are plain calls with numbers, so strings cross by address and length.
 */
interface LuaApi {
  _malloc(size: number): number
  _free(pointer: number): void
  _luaL_newstate(): LuaState
  _lua_close(L: LuaState): void
  _luaL_openlibs(L: LuaState): void
  _luaL_loadbufferx(L: LuaState, buffer: number, size: number, name: number, mode: number): number
  _luaL_ref(L: LuaState, table: number): number
  _lua_gettop(L: LuaState): number
  _lua_settop(L: LuaState, index: number): void
  _lua_pushvalue(L: LuaState, index: number): void
  _lua_rotate(L: LuaState, index: number, n: number): void
  _lua_checkstack(L: LuaState, slots: number): number
  _lua_type(L: LuaState, index: number): number
  _lua_toboolean(L: LuaState, index: number): number
  _lua_tonumberx(L: LuaState, index: number, isNumber: number): number
  _lua_tolstring(L: LuaState, index: number, length: number): number
  _lua_pushnil(L: LuaState): void
  _lua_pushboolean(L: LuaState, value: number): void
  _lua_pushnumber(L: LuaState, value: number): void
  _lua_pushinteger(L: LuaState, value: bigint): void
  _lua_pushlstring(L: LuaState, pointer: number, length: number): number
  _lua_pushcclosure(L: LuaState, fn: number, upvalues: number): void
  _lua_createtable(L: LuaState, items: number, fields: number): void
  _lua_rawgeti(L: LuaState, index: number, n: bigint): number
  _lua_rawseti(L: LuaState, index: number, n: bigint): void
  _lua_getfield(L: LuaState, index: number, name: number): number
  _lua_setfield(L: LuaState, index: number, name: number): void
  _lua_pcallk(L: LuaState, args: number, results: number, handler: number, ctx: number, k: number): number
  _lua_error(L: LuaState): number
}

export const luaType = { boolean: 1, number: 3, string: 4, table: 5 } as const
export const registryIndex = -1_001_000

const initialScratch = 64 * 1024
/** Up to this length a loop over the bytes is faster than a call into Node's own decoder. */
const shortString = 20

/** Moves values between JavaScript and the Lua stack. */
export class LuaStack {
  readonly api: LuaApi
  private readonly module: LuaModule
  private readonly lengthAt: number
  private scratch: number
  private scratchSize = initialScratch
  private heap: Uint8Array
  private bytes: Buffer
  private lengths: Int32Array
  private readonly integers: bigint[] = []

  constructor(module: LuaModule) {
    this.module = module
    this.api = module as unknown as LuaApi
    this.lengthAt = this.api._malloc(8)
    this.scratch = this.api._malloc(initialScratch)
    this.heap = module.HEAPU8
    this.bytes = Buffer.from(this.heap.buffer)
    this.lengths = module.HEAP32
  }

  /** Makes a JavaScript function callable from Lua; it answers how many results it pushed. */
  callback(fn: (L: LuaState) => number): number {
    return this.module.addFunction(fn, "ii")
  }

  /** A NUL-terminated copy of a name, kept for ever. */
  name(text: string): number {
    return this.module.stringToNewUTF8(text)
  }

  bigint(value: number): bigint {
    if (value < 0 || value > 9999) return BigInt(value)
    this.integers[value] ??= BigInt(value)
    return this.integers[value]
  }

  /** The string at the index; a number there would be turned into one in place. */
  readString(L: LuaState, index: number): Bytes {
    const start = this.api._lua_tolstring(L, index, this.lengthAt)
    if (this.heap !== this.module.HEAPU8) this.followGrowth()
    const length = this.lengths[this.lengthAt >> 2]!
    if (length > shortString) return this.bytes.toString("latin1", start, start + length)
    let text = ""
    for (let at = start; at < start + length; at++) text += String.fromCharCode(this.heap[at]!)
    return text
  }

  pushString(L: LuaState, text: Bytes): void {
    this.api._lua_pushlstring(L, this.write(text), text.length)
  }

  pushInteger(L: LuaState, value: number): void {
    if (Number.isSafeInteger(value)) this.api._lua_pushinteger(L, this.bigint(value))
    else this.api._lua_pushnumber(L, value)
  }

  /** Pushes an array of strings as a Lua table. */
  pushStrings(L: LuaState, texts: readonly Bytes[]): void {
    this.api._lua_createtable(L, texts.length, 0)
    for (let index = 0; index < texts.length; index++) {
      this.pushString(L, texts[index]!)
      this.api._lua_rawseti(L, -2, this.bigint(index + 1))
    }
  }

  /** Copies bytes to the scratch area of Lua's memory, where they stay until the next write. */
  write(text: Bytes): number {
    const length = text.length
    if (length > this.scratchSize) this.growScratch(length)
    if (this.heap !== this.module.HEAPU8) this.followGrowth()
    const start = this.scratch
    if (length > shortString) this.bytes.write(text, start, length, "latin1")
    else for (let at = 0; at < length; at++) this.heap[start + at] = text.charCodeAt(at)
    return start
  }

  private growScratch(size: number): void {
    this.api._free(this.scratch)
    this.scratchSize = size * 2
    this.scratch = this.api._malloc(this.scratchSize)
    if (this.scratch === 0) throw new Error(`Lua has no memory for a string of ${size} bytes`)
  }

  /** Growing memory detaches the views of it. */
  private followGrowth(): void {
    this.heap = this.module.HEAPU8
    this.bytes = Buffer.from(this.heap.buffer)
    this.lengths = this.module.HEAP32
  }
}
