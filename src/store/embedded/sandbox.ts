/**
 * What a script sees, built in Lua: the libraries as Lua 5.1 on Redis has them, made so by 5.4, and nothing else.
 *
 * Called with (call, pcall, sha1hex), it answers the table that scripts' globals are kept in, the table that stands
 * for the globals, the error handler, and a function that runs a full garbage collection and answers KiB in use.
 *
 * What cannot be made alike: the operator `..` writes a float that is whole as "5.0" and integers from 1e14 on in
 * full, where 5.1 writes "5" and "1e+14"; integers wrap beyond 2^63; `redis`, `string` and so on are functions of a
 * protected table here and there, but `rawset`, `load`, `coroutine`, `cjson`, `bit`, `struct`, `cmsgpack` are missing.
 */
export const sandbox = `
local call, pcall_, sha1hex = ...
local type, error, select, tostring_, tonumber_ = type, error, select, tostring, tonumber
local setmetatable, next, find, gmatch, concat_ = setmetatable, next, string.find, string.gmatch, table.concat
local format_, unpack_, mathtype, tointeger, modf = string.format, table.unpack, math.type, math.tointeger, math.modf
local pcall, rawget = pcall, rawget
local getinfo, collect = debug.getinfo, collectgarbage

-- The same in both, from what a 5.1 script may call.
local function pick(from, names)
  local to = {}
  for name in gmatch(names, "%w+") do to[name] = from[name] end
  return to
end
local string51 = pick(string, "byte char find format gmatch gsub len lower match rep reverse sub upper")
local table51 = pick(table, "concat insert remove sort")
local math51 = pick(math, "abs acos asin atan ceil cos deg exp floor fmod huge log max min modf pi rad random randomseed sin sqrt tan")
local real = pick(_G, "assert error getmetatable ipairs next pairs rawequal rawget select setmetatable type xpcall")

-- 5.1 has one kind of number, written with %.14g: neither "5.0" nor 16 digits.
local exact = 100000000000000
local function alike(n)
  return mathtype(n) == "integer" and n < exact and n > -exact
end
local function text(v)
  if type(v) == "number" and not alike(v) then return format_("%.14g", v) end
  return tostring_(v)
end
real.tostring = text

-- 5.4 reads "5.0" and "1e3" as floats, which the operator .. would then write with ".0".
function real.tonumber(v, base)
  if base then return tonumber_(v, base) end
  local n = tonumber_(v)
  if mathtype(n) == "float" and n < 9007199254740992 and n > -9007199254740992 then return tointeger(n) or n end
  return n
end

function math51.pow(x, y) return x ^ y end

-- At most 8000 values on 5.1's stack, the function's own arguments among them.
function real.unpack(list, ...)
  local first, last = ...
  first, last = first or 1, last or #list
  if last - first + 1 + 1 + select("#", ...) > 8000 then error("too many results to unpack", 2) end
  return unpack_(list, first, last)
end

local wholes = { d = true, i = true, c = true, x = true, X = true, o = true }
local function convert(fmt, ...)
  local args, at = { ... }, 0
  for spec in gmatch(fmt, "%%[-+ #0-9.]*(.)") do
    if spec ~= "%" then
      at = at + 1
      local v = args[at]
      if wholes[spec] and type(v) == "string" then v = tonumber_(v) or v end
      if wholes[spec] and mathtype(v) == "float" then args[at] = tointeger((modf(v))) or v
      elseif spec == "s" and type(v) == "number" then args[at] = text(v) end
    end
  end
  return format_(fmt, unpack_(args, 1, select("#", ...)))
end
-- %d of 3.7 is 3 in 5.1 and an error in 5.4; %s of 5.0 is "5" there and "5.0" here.
function string51.format(fmt, ...)
  for i = 1, select("#", ...) do
    local v = (select(i, ...))
    local kind = type(v)
    if kind == "number" and not alike(v) or kind == "string" and not alike(tointeger(v)) and tonumber_(v) then
      return convert(fmt, ...)
    end
  end
  return format_(fmt, ...)
end
string.format = string51.format

function table51.concat(list, sep, from, to)
  local first, last = from or 1, to or #list
  for i = first, last do
    local v = list[i]
    if mathtype(v) and not alike(v) then
      local texts = {}
      for at = first, last do texts[at - first + 1] = text(list[at]) end
      return concat_(texts, sep)
    end
  end
  return concat_(list, sep, first, last)
end

-- Redis' own: of a caught error reply only the text is seen.
local function caught(done, err, ...)
  if not done and type(err) == "table" and rawget(err, "err") ~= nil then return false, rawget(err, "err") end
  return done, err, ...
end
function real.pcall(...) return caught(pcall(...)) end

-- A code is a first word; a message of one word gets ERR before it.
local function reply_error(message)
  if type(message) ~= "string" then return { err = "ERR wrong number or type of arguments" } end
  if find(message, "^%-") then message = string.sub(message, 2) end
  if not find(message, " ", 1, true) then message = "ERR " .. message end
  return { err = message }
end
local redis = { error_reply = reply_error, call = call, pcall = pcall_ }
function redis.status_reply(message)
  if type(message) ~= "string" then return reply_error() end
  return { ok = message }
end
function redis.sha1hex(...)
  if select("#", ...) ~= 1 then error("wrong number of arguments", 0) end
  return sha1hex((...))
end

local function modify() error("Attempt to modify a readonly table", 2) end
local function protect(t)
  return setmetatable({}, { __index = t, __newindex = modify, __metatable = false })
end
real.string, real.table, real.math, real.redis = protect(string51), protect(table51), protect(math51), protect(redis)
getmetatable("").__index = real.string
getmetatable("").__metatable = false
real._VERSION = "Lua 5.1"
setmetatable(real, { __index = function(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring_(name) .. "'", 2)
end })
local globals = protect(real)
real._G = globals

-- The message as a client of Redis reads it, but for the script's sha, and the line after a newline.
local function handler(err)
  local level, info = 2, getinfo(2, "Sl")
  while info and info.source ~= "@user_script" do
    level = level + 1
    info = getinfo(level, "Sl")
  end
  local message = type(err) == "table" and rawget(err, "err") or "ERR " .. tostring_(err)
  return tostring_(message) .. "\\n" .. (info and info.currentline or 0)
end

return real, globals, handler, function()
  collect()
  return collect("count")
end
`
