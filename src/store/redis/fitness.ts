import { ConnectionError, PermissionError, TaskoraError } from "../../model/errors.ts"
import { root, sharedKeys, workflowsTask } from "../keys.ts"
import { type Reply, type ServerInfo, StoreError } from "../store.ts"
import { ruleName, sampleCalls, type Use } from "./commands.ts"
import { ReplyError } from "./failures.ts"

type Send = (command: string, args: readonly (string | number)[], what: string) => Promise<Reply>

/** Replies which of the calls may not be run, by their numbers, or "old" before Redis 7. */
const missingScript = `
if not redis.acl_check_cmd then return "old" end
local missing = {}
for i, call in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(call, "[^\\n]+") do words[#words + 1] = word end
  if not redis.acl_check_cmd(unpack(words)) then missing[#missing + 1] = i end
end
return missing`

/** What is wanted of a server. */
export interface Wanted {
  readonly prefix: string
  readonly use: Use
  /** Those whose keys must be open to us; more may be declared later. */
  readonly tasks: readonly string[]
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
    if (wanted.use !== "read") await checkEviction(send)
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

/** @throws PermissionError that names what the user may not do, TaskoraError for a server that is too old */
export async function checkPermissions(send: Send, wanted: Wanted): Promise<void> {
  const places = placesOf(wanted)
  // It is EVAL that asks, so what EVAL lacks can only be its key.
  const closed = await findMissing(
    send,
    places.map(({ key }) => [asking(wanted)[0], "s", "1", key]),
    wanted,
  )
  const open = places.find((_, i) => !closed.includes(i + 1))
  const calls = sampleCalls(wanted, open?.key, `${taskBase(wanted, wanted.tasks[0] ?? "*")}cancel`)
  const missing = await findMissing(send, calls, wanted)
  const keys = open ? closed.map((i) => places[i - 1]!.pattern) : [`${root(wanted.prefix)}*`]
  const names = missing.map((i) => ruleName(calls[i - 1]!))
  if (keys.length > 0 && closed.length > 0) throw lacking(names, wanted, keys)
  if (names.length > 0) throw lacking(names, wanted)
}

interface KeyPlace {
  readonly key: string
  readonly pattern: string
}

/** A key of each kind that will be used, and the pattern that a user must be given for its kind. */
function placesOf(wanted: Wanted): KeyPlace[] {
  const base = root(wanted.prefix)
  if (wanted.use === "read") return [{ key: `${base}{*}:permissions`, pattern: `${base}*` }]
  // Who works also looks after workflows, of any task.
  const workflows = wanted.use === "work" ? [workflowsTask] : []
  const tasks = [...wanted.tasks, ...workflows].map((task) => taskBase(wanted, task))
  const control = wanted.cluster ? [] : [`${base}control:`]
  return [
    ...[...tasks, ...control].map((start) => ({ key: `${start}permissions`, pattern: `${start}*` })),
    ...Object.values(sharedKeys(wanted.prefix, wanted.cluster)).map((key) => ({ key, pattern: key })),
  ]
}

function taskBase({ prefix }: Wanted, task: string): string {
  return `${root(prefix)}{${task}}:`
}

/** The command that asks, and the one that goes with it. */
function asking({ use }: Wanted): readonly [string, string] {
  return use === "read" ? ["EVAL_RO", "EVALSHA_RO"] : ["EVAL", "EVALSHA"]
}

async function findMissing(send: Send, calls: string[][], wanted: Wanted): Promise<number[]> {
  const [command, other] = asking(wanted)
  try {
    const args = [missingScript, 0, ...calls.map((words) => words.join("\n"))]
    const missing = await send(command.toLowerCase(), args, "check of permissions")
    if (missing === "old") throw tooOld("before 7")
    return missing as number[]
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error
    if (error.code === "NOPERM") throw lacking([command, other], wanted)
    // Before Redis 7 there was no such command for readers.
    if (wanted.use === "read" && /unknown command/i.test(error.message)) throw tooOld("before 7")
    throw error
  }
}

function lacking(commands: readonly string[], wanted: Wanted, keys: readonly string[] = []): PermissionError {
  const read = wanted.use === "read"
  const base = root(wanted.prefix)
  const names = commands.map((name) => name.toLowerCase())
  const patterns = keys.map((pattern) => `${read ? "%R~" : "~"}${pattern}`)
  const what = [
    ...(keys.length > 0 ? [`${read ? "read" : "use"} the keys ${keys.join(", ")}`] : []),
    ...(names.length > 0 ? [`run ${names.join(", ")} on keys${read ? "" : " and channels"} ${base}*`] : []),
  ]
  const needed = names.length > 0 && keys.length === 0 ? [`${read ? "%R~" : "~"}${base}*`] : patterns
  const channels = !read && names.some((name) => channelCommands.has(name)) ? [`&${base}*`] : []
  const rule = [...names.map((name) => `+${name}`), ...needed, ...channels].join(" ")
  return new PermissionError(`the Redis user may not ${what.join(" nor ")}; add to its ACL: ${rule}`, [
    ...patterns,
    ...names,
  ])
}

const channelCommands = new Set(["publish", "subscribe", "spublish", "ssubscribe"])

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
