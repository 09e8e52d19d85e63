import { ConnectionError, PermissionError, TaskoraError } from "../../model/errors.ts"
import { type Reply, type ServerInfo, StoreError } from "../store.ts"
import { keyCommands, sampleCalls } from "./commands.ts"
import { ReplyError } from "./failures.ts"

type Send = (command: string, args: readonly (string | number)[], what: string) => Promise<Reply>

/** Replies the names of the commands that may not be run on these keys and channels, or "old" before Redis 7. */
const missingScript = `
if not redis.acl_check_cmd then return "old" end
local missing = {}
for i, call in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(call, "[^\\n]+") do words[#words + 1] = word end
  if not redis.acl_check_cmd(unpack(words)) then missing[#missing + 1] = words[1] end
end
return missing`

/**
 * Finds out whether the server can serve us. `base`: what our keys and channels begin with.
 * @throws TaskoraError for a server that is too old, PermissionError, ConnectionError when it stops answering
 */
export async function checkServer(
  send: Send,
  base: string,
): Promise<Pick<ServerInfo, "product" | "version">> {
  try {
    const server = await readVersion(send)
    await checkPermissions(send, base)
    await checkEviction(send)
    return server
  } catch (error) {
    if (error instanceof StoreError)
      throw new ConnectionError(`the server could not be checked: ${error.message}`)
    throw error
  }
}

async function readVersion(send: Send): Promise<Pick<ServerInfo, "product" | "version">> {
  const info = await ask(send, "server")
  if ((field(info, "redis_mode") ?? field(info, "server_mode")) === "cluster") {
    throw new TaskoraError("this server is part of a cluster; clusters are not supported yet", "CONNECTION")
  }
  const valkey = field(info, "valkey_version")
  if (valkey !== undefined) return { product: "valkey", version: valkey }
  const version = field(info, "redis_version")
  if (version !== undefined && Number.parseInt(version, 10) < 7) throw tooOld(version)
  return { product: "redis", version: version ?? "unknown" }
}

async function checkPermissions(send: Send, base: string): Promise<void> {
  const sample = `${base}control:permissions`
  const missing = await findMissing(send, sampleCalls(sample, sample), base)
  if (missing === "old") throw tooOld("before 7")
  // It is EVAL that asks, so what EVAL lacks can only be its key: all keys are missing, not the commands on them.
  if (missing.includes("EVAL")) {
    throw lacking(
      missing.filter((name) => !keyCommands.includes(name)),
      base,
      [`~${base}*`],
    )
  }
  if (missing.length > 0) throw lacking(missing, base)
}

async function findMissing(send: Send, calls: string[][], base: string): Promise<string[] | "old"> {
  try {
    const lines = calls.map((words) => words.join("\n"))
    return (await send("eval", [missingScript, 0, ...lines], "check of permissions")) as string[] | "old"
  } catch (error) {
    if (error instanceof ReplyError && error.code === "NOPERM") throw lacking(["EVAL", "EVALSHA"], base)
    throw error
  }
}

function lacking(commands: readonly string[], base: string, keys: readonly string[] = []): PermissionError {
  const names = commands.map((name) => name.toLowerCase())
  const what = [
    ...(keys.length > 0 ? ["use its keys"] : []),
    ...(names.length > 0 ? [`run ${names.join(", ")}`] : []),
  ]
  const rule = [...names.map((name) => `+${name}`), `~${base}*`, `&${base}*`].join(" ")
  return new PermissionError(
    `the Redis user may not ${what.join(" nor ")}, here on keys and channels "${base}*"; add to its ACL: ${rule}`,
    [...keys, ...names],
  )
}

async function checkEviction(send: Send): Promise<void> {
  const policy = field(await ask(send, "memory"), "maxmemory_policy")
  if (policy === undefined || policy === "noeviction") return
  process.emitWarning(
    `Redis has maxmemory-policy "${policy}" and may throw jobs away when memory is full; set it to "noeviction"`,
    { type: "TaskoraWarning", code: "TASKORA_EVICTION" },
  )
}

/** A section of INFO; empty for a user who may not read it, who is served all the same. */
async function ask(send: Send, section: string): Promise<string> {
  try {
    return String(await send("info", [section], `info ${section}`))
  } catch (error) {
    if (error instanceof ReplyError && error.code === "NOPERM") return ""
    throw error
  }
}

function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1]
}

function tooOld(version: string): TaskoraError {
  return new TaskoraError(
    `Taskora needs Redis 7.0 or later, or Valkey; this server is Redis ${version}`,
    "CONNECTION",
  )
}
