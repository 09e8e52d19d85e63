import type { Bytes } from "./bytes.ts"
import { type LuaStack, type LuaState, luaType } from "./lua-stack.ts"
import { CommandError, Status, type Value } from "./reply.ts"

/** Addresses of the field names that mark error and status tables. */
interface Names {
  readonly err: number
  readonly ok: number
}

const lowestInteger = -(2 ** 63)

/** Turns the Lua value at `index` into a reply by Redis' rules; throws when it is an error table. */
export function readResult(stack: LuaStack, L: LuaState, index: number, names: Names): Value {
  const { api } = stack
  switch (api._lua_type(L, index)) {
    case luaType.string:
      return stack.readString(L, index)
    case luaType.number:
      return truncate(api._lua_tonumberx(L, index, 0))
    case luaType.boolean:
      return api._lua_toboolean(L, index) === 1 ? 1 : null
    case luaType.table:
      return readTable(stack, L, index, names)
    default:
      return null
  }
}

/** To a whole number, as C's conversion to a 64-bit integer does. */
function truncate(value: number): number {
  return Math.abs(value) < 2 ** 63 ? Math.trunc(value) + 0 : lowestInteger
}

function readTable(stack: LuaStack, L: LuaState, index: number, names: Names): Value {
  const { api } = stack
  if (api._lua_checkstack(L, 4) === 0) throw new CommandError("ERR reached lua stack limit")
  const error = stringField(stack, L, index, names.err)
  if (error !== undefined) throw new CommandError(error)
  const status = stringField(stack, L, index, names.ok)
  if (status !== undefined) return new Status(status)
  const items: Value[] = []
  for (let at = 1; ; at++) {
    const type = api._lua_rawgeti(L, index, stack.bigint(at))
    const item = api._lua_gettop(L)
    if (type === 0) {
      api._lua_settop(L, item - 1)
      return items
    }
    items.push(readResult(stack, L, item, names))
    api._lua_settop(L, item - 1)
  }
}

function stringField(stack: LuaStack, L: LuaState, index: number, name: number): Bytes | undefined {
  const { api } = stack
  const type = api._lua_getfield(L, index, name)
  const text = type === luaType.string ? stack.readString(L, -1) : undefined
  api._lua_settop(L, -2)
  return text
}
