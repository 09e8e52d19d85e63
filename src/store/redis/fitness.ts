import { ConnectionError, PermissionError, TaskoraError } from "../../model/errors.ts"
import { type Access, type Reply, type ServerInfo, StoreError } from "../store.ts"
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

/** What is wanted of a server: all keys and channels begin with `base`. */
export interface Wanted {
  readonly base: string
  readonly access: Access
  readonly cluster?: boolean
}

/**
 * Finds out whether the server can serve us.
 * @throws TaskoraError for a server that is too old, PermissionError, ConnectionError when it stops answering
 */
export async function checkServer(
  send: Send,
  wanted: Wanted,
): Promise<Pick<ServerInfo, "product" | "version">> {
  try {
    const server = await readVersion(send, wanted)
    await checkPermissions(send, wanted)
    // Who only reads loses nothing by it, and those who write are told.
    if (wanted.access === "all") await checkEviction(send)
    return server
  } catch (error) {
    if (error instanceof StoreError)
      throw new ConnectionError(`the server could not be checked: ${error.message}`)
    throw error
  }
}

async function readVersion(
  send: Send,
  { cluster = false }: Wanted,
): Promise<Pick<ServerInfo, "product" | "version">> {
  const info = await ask(send, "server")
  const mode = field(info, "redis_mode") ?? field(info, "server_mode")
  if (mode === "cluster" && !cluster) {
    throw new TaskoraError(
      'this server is part of a cluster; name some of its nodes: redisAdapter({ nodes: ["redis://..."] })',
      "CONNECTION",
    )
  }
  const valkey = field(info, "valkey_version")
  if (valkey !== undefined) return { product: "valkey", version: valkey }
  const version = field(info, "redis_version")
  if (version !== undefined && Number.parseInt(version, 10) < 7) throw tooOld(version)
  return { product: "redis", version: version ?? "unknown" }
}

async function checkPermissions(send: Send, wanted: Wanted): Promise<void> {
  const sample = `${wanted.base}control:permissions`
  const missing = await findMissing(send, sampleCalls(wanted, sample, sample), wanted)
  if (missing === "old") throw tooOld("before 7")
  // It is EVAL that asks, so what EVAL lacks can only be its key: all keys are missing, not the commands on them.
  if (missing.includes(asking[wanted.access][0])) {
    const onKeys = keyCommands(wanted)
    throw lacking(
      missing.filter((name) => !onKeys.includes(name)),
      wanted,
      [keyRule(wanted)],
    )
  }
  if (missing.length > 0) throw lacking(missing, wanted)
}

/** The command that asks, and the one that goes with it. */
const asking = { all: ["EVAL", "EVALSHA"], read: ["EVAL_RO", "EVALSHA_RO"] } as const

async function findMissing(send: Send, calls: string[][], wanted: Wanted): Promise<string[] | "old"> {
  const [command] = asking[wanted.access]
  try {
    const args = [missingScript, 0, ...calls.map((words) => words.join("\n"))]
    return (await send(command.toLowerCase(), args, "check of permissions")) as string[] | "old"
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error
    if (error.code === "NOPERM") throw lacking(asking[wanted.access], wanted)
    // Before Redis 7 there was no such command for readers.
    if (wanted.access === "read" && /unknown command/i.test(error.message)) throw tooOld("before 7")
    throw error
  }
}

function keyRule({ access, base }: Wanted): string {
  return access === "read" ? `%R~${base}*` : `~${base}*`
}

function lacking(commands: readonly string[], wanted: Wanted, keys: readonly string[] = []): PermissionError {
  const { access, base } = wanted
  const names = commands.map((name) => name.toLowerCase())
  const what = [
    ...(keys.length > 0 ? [access === "read" ? "read its keys" : "use its keys"] : []),
    ...(names.length > 0 ? [`run ${names.join(", ")}`] : []),
  ]
  const places = access === "read" ? "keys" : "keys and channels"
  const channels = access === "read" ? [] : [`&${base}*`]
  const rule = [...names.map((name) => `+${name}`), keyRule(wanted), ...channels].join(" ")
  return new PermissionError(
    `the Redis user may not ${what.join(" nor ")}, here on ${places} "${base}*"; add to its ACL: ${rule}`,
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
