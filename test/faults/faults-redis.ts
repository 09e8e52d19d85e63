import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { clientOf, type Deployment, sleep, until } from "./deployment.ts"
import { type Fault, type Landing, landed, missed } from "./fault.ts"
import type { Prng } from "./prng.ts"
import { taskNames } from "./work.ts"

async function flushScripts(deployment: Deployment): Promise<Landing> {
  const before = await deployment.errors("NOSCRIPT")
  let flushes = 0
  for (const end = performance.now() + 1000; performance.now() < end; flushes++) {
    await deployment.admin.script("FLUSH")
    await sleep(5)
  }
  const met = (await deployment.errors("NOSCRIPT")) - before
  return met > 0
    ? landed(`${flushes} times; ${met} calls found their script missing`)
    : missed("no call was met")
}

async function pauseClients(deployment: Deployment, random: Prng): Promise<Landing> {
  const ms = random.between(200, 1500)
  const mode = random.pick(["ALL", "WRITE"])
  const other = clientOf(deployment.server.port)
  await other.ping()
  await deployment.admin.call("CLIENT", "PAUSE", ms, mode)
  const from = performance.now()
  await other.set("faults:pause", 1, "PX", 1000)
  const waited = performance.now() - from
  other.disconnect()
  return waited > ms / 2 ? landed(`a write took ${Math.round(waited)} ms (${mode})`) : missed("nobody waited")
}

/** Turns something on until some call has been answered with this error, and off again. */
const answering =
  (code: string, on: (d: Deployment) => Promise<unknown>, off: (d: Deployment) => Promise<unknown>) =>
  async (deployment: Deployment, random: Prng): Promise<Landing> => {
    const before = await deployment.errors(code)
    const ms = random.between(200, 900)
    const from = performance.now()
    try {
      await on(deployment)
      await sleep(ms)
    } finally {
      await off(deployment)
    }
    const met = (await deployment.errors(code)) - before
    return met > 0
      ? landed(`${met} calls were answered ${code} in ${Math.round(performance.now() - from)} ms`)
      : missed(`no call was answered ${code}`)
  }

async function beBusy(deployment: Deployment): Promise<void> {
  await deployment.admin.config("SET", "busy-reply-threshold", "20")
  const other = clientOf(deployment.server.port)
  await other.ping()
  other.call("EVAL", "while true do end", 0).catch(() => undefined)
  // It answers once the script has been killed, with an error, or never.
  setTimeout(() => other.disconnect(), 5000).unref()
}

async function endBusy(deployment: Deployment): Promise<void> {
  await until(
    () =>
      deployment.admin
        .script("KILL")
        .then(() => true)
        .catch((error: Error) => error.message.startsWith("NOTBUSY")),
    "the script was killed",
    5000,
  )
  // It ends a moment after it was told to.
  const isFree = () =>
    deployment.admin
      .config("SET", "busy-reply-threshold", "5000")
      .then(() => true)
      .catch(() => false)
  await until(isFree, "the server is free", 5000)
}

/** A snapshot that cannot be written: where its file should be lies a directory. */
async function failToSave({ admin, server }: Deployment): Promise<void> {
  mkdirSync(join(server.directory, "unwritable.rdb", "full"), { recursive: true })
  await admin.config("SET", "dbfilename", "unwritable.rdb")
  await admin.config("SET", "save", "3600 1000000")
  await admin.bgsave().catch(() => undefined)
  await until(
    async () => (await admin.info("persistence")).includes("rdb_last_bgsave_status:err"),
    "it failed",
    5000,
  )
}

async function saveAgain({ admin }: Deployment): Promise<void> {
  await admin.config("SET", "save", "")
}

async function restart(deployment: Deployment): Promise<Landing> {
  const runId = async () => /run_id:(\w+)/.exec(await deployment.admin.info("server"))?.[1]
  const before = await runId()
  await deployment.recorder.pause()
  await deployment.server.restart()
  // Nothing is lost: the recorder goes on from where it was.
  await deployment.recorder.resumeAt(deployment.server.port)
  const after = await runId()
  return before !== after
    ? landed(`run ${before} was followed by ${after}`)
    : missed("the server did not end")
}

/** A key of a task is put aside for a while, and a text stands in its place. */
async function misplaceKey(deployment: Deployment, random: Prng): Promise<Landing> {
  const task = random.pick(["quick", "steady", "flaky"] as const)
  const name = random.pick(["events", "wake", "cancels"] as const)
  const key = `faults:taskora:{${task}}:${name}`
  const before = await deployment.errors("WRONGTYPE")
  // Both in one step: nobody may make the key anew in between.
  const swap = (script: string) => deployment.admin.eval(script, 1, key)
  await swap(
    "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[1] .. '-aside') end redis.call('SET', KEYS[1], 'text')",
  )
  await sleep(random.between(200, 900))
  await swap(
    "redis.call('DEL', KEYS[1]) if redis.call('EXISTS', KEYS[1] .. '-aside') == 1 then redis.call('RENAME', KEYS[1] .. '-aside', KEYS[1]) end",
  )
  const met = (await deployment.errors("WRONGTYPE")) - before
  return met > 0 ? landed(`${met} calls found a text as ${name} of ${task}`) : missed("no call met it")
}

/** The listener stands still while all that it has not read is trimmed. */
async function trimPast(deployment: Deployment, random: Prng): Promise<Landing> {
  const [pod] = deployment.alive("listener")
  if (!pod) return missed("nobody listens")
  const before = pod.of("gap").length
  pod.stop()
  await sleep(random.between(400, 900))
  await deployment.recorder.catchUp()
  for (const task of taskNames) {
    const [ms, n] = deployment.recorder.positionOf(task).split("-").map(Number) as [number, number]
    if (ms > 0)
      await deployment.admin.call("XTRIM", `faults:taskora:{${task}}:events`, "MINID", "=", `${ms}-${n + 1}`)
  }
  pod.goOn()
  const told = () => pod.of("gap").slice(before)
  await until(() => told().length > 0, "a gap is reported", 4000).catch(() => undefined)
  const lost = told().reduce((sum, gap) => sum + gap.lost, 0)
  return lost > 0
    ? landed(`${lost} events were trimmed before ${pod.name} read them`)
    : missed("it had read all")
}

export const redisFaults: readonly Fault[] = [
  {
    name: "SCRIPT FLUSH continuously",
    group: "redis",
    window: "while calls are made",
    weight: 4,
    strike: flushScripts,
  },
  { name: "CLIENT PAUSE", group: "redis", window: "while calls are made", weight: 4, strike: pauseClients },
  {
    name: "BUSY",
    group: "redis",
    window: "while calls are made",
    weight: 3,
    strike: answering("BUSY", beBusy, endBusy),
  },
  {
    name: "MISCONF",
    group: "redis",
    window: "while calls are made",
    weight: 3,
    strike: answering("MISCONF", failToSave, saveAgain),
  },
  {
    name: "READONLY",
    group: "redis",
    window: "while calls are made",
    weight: 3,
    strike: answering(
      "READONLY",
      ({ admin }) => admin.call("REPLICAOF", "127.0.0.1", "1"),
      ({ admin }) => admin.call("REPLICAOF", "NO", "ONE"),
    ),
  },
  {
    name: "maxmemory reached",
    group: "redis",
    window: "while jobs are dispatched",
    weight: 4,
    strike: answering(
      "OOM",
      ({ admin }) => admin.config("SET", "maxmemory", "1"),
      ({ admin }) => admin.config("SET", "maxmemory", "0"),
    ),
  },
  {
    name: "a key of the wrong type",
    group: "redis",
    window: "while calls are made",
    // Not in the mixture: a settlement that cannot write its entry fails in the middle. `--only` strikes it.
    weight: 0,
    strike: misplaceKey,
  },
  {
    name: "restart with AOF always",
    group: "redis",
    window: "while calls are made",
    weight: 4,
    needs: ({ options }) => options.persistence === "always",
    strike: restart,
  },
  {
    name: "stream trimmed past a slow reader",
    group: "redis",
    window: "between what it read and what was told",
    weight: 3,
    strike: trimPast,
  },
]
