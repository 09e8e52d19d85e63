import { statSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { type Deployment, type Persistence, sleep, until } from "./deployment.ts"
import { type Fault, type Landing, landed, missed } from "./fault.ts"
import type { Prng } from "./prng.ts"

/** Faults in which the server itself loses what it had acknowledged. The checker is told the window, and holds the rest. */
export interface LosingTrial {
  readonly fault: Fault
  readonly persistence: Persistence
  readonly replicated?: boolean
  readonly weight: number
}

/** ms by which two clocks' readings of one moment may differ. */
const edgeMs = 20

async function flushAll(deployment: Deployment): Promise<Landing> {
  await deployment.recorder.catchUp()
  await deployment.recorder.pause()
  const before = await deployment.admin.dbsize()
  await deployment.admin.flushall()
  const at = Date.now()
  deployment.losses.push({ from: 0, to: at + edgeMs })
  deployment.recorder.forget()
  await deployment.recorder.resumeAt(deployment.server.port)
  return before > 50 ? landed(`${before} keys were flushed`) : missed("there was next to nothing")
}

async function restartEmpty(deployment: Deployment): Promise<Landing> {
  await deployment.recorder.pause()
  const before = await deployment.admin.dbsize()
  await deployment.server.kill()
  deployment.losses.push({ from: 0, to: Date.now() + edgeMs })
  deployment.recorder.forget()
  await deployment.server.restart()
  await deployment.recorder.resumeAt(deployment.server.port)
  return before > 50
    ? landed(`a restart without AOF lost ${before} keys`)
    : missed("there was next to nothing")
}

/** What a machine that loses its power does to an AOF that is synchronised once a second: its end is missing. */
async function powerLoss(deployment: Deployment, random: Prng): Promise<Landing> {
  const { server, admin, recorder } = deployment
  await recorder.catchUp()
  await recorder.pause()
  const file = /aof_current_size:(\d+)/.test(await admin.info("persistence"))
    ? join(server.directory, "appendonlydir", "appendonly.aof.1.incr.aof")
    : undefined
  if (!file) return missed("there is no AOF")
  const from = Date.now() - edgeMs
  const kept = statSync(file).size
  await sleep(random.between(200, 900))
  await server.kill()
  const lost = statSync(file).size - kept
  deployment.losses.push({ from, to: Date.now() + edgeMs })
  truncateSync(file, kept)
  await server.restart()
  await recorder.resumeAt(server.port)
  await recorder.reread()
  return lost > 0 ? landed(`the last ${lost} bytes of the AOF were lost`) : missed("nothing was written")
}

/** The replica is promoted while it is behind: the tail that it had not copied is lost, and nothing else. */
async function promoteLagging(deployment: Deployment, random: Prng): Promise<Landing> {
  const { server, replica, recorder, admin } = deployment
  if (!replica) return missed("there is no replica")
  const heardBefore = deployment.alive("listener").flatMap((pod) => pod.of("gap")).length
  replica.link.hold(true)
  const from = Date.now() - edgeMs
  await sleep(random.between(400, 1200))
  await recorder.catchUp()
  const master = /master_repl_offset:(\d+)/.exec(await admin.info("replication"))?.[1]
  await recorder.pause()
  await server.kill()
  deployment.losses.push({ from, to: Date.now() + edgeMs })
  replica.link.refusing = true
  replica.link.cut()
  await deployment.moveTo(replica.server)
  const copied = /slave_repl_offset:(\d+)/.exec(await deployment.admin.info("replication"))?.[1]
  await deployment.admin.call("REPLICAOF", "NO", "ONE")
  await recorder.reread()
  const lag = Number(master) - Number(copied)
  const lines = [...recorder.lost.values()].reduce((sum, lost) => sum + lost.length, 0)
  if (!(lag > 0) || lines === 0) return missed(`the replica was ${lag} bytes behind`)
  const told = () => deployment.alive("listener").flatMap((pod) => pod.of("gap")).length - heardBefore
  await until(() => told() > 0, "the listener has noticed", 15_000).catch(() => undefined)
  return landed(`the replica was ${lag} bytes and ${lines} lines behind; ${told()} reports of the listener`)
}

const fault = (name: string, window: string, strike: Fault["strike"]): Fault => ({
  name,
  group: "redis",
  window,
  weight: 1,
  strike,
})

export const losingTrials: readonly LosingTrial[] = [
  {
    fault: fault("FLUSHALL under a running system", "while all are at work", flushAll),
    persistence: "none",
    weight: 1,
  },
  {
    fault: fault("restart without AOF", "while all are at work", restartEmpty),
    persistence: "none",
    weight: 1,
  },
  {
    fault: fault("power loss with AOF everysec", "between two synchronisations", powerLoss),
    persistence: "everysec",
    weight: 1,
  },
  {
    fault: fault("replica promoted while behind", "while its link stands still", promoteLagging),
    persistence: "none",
    replicated: true,
    weight: 2,
  },
]
