import { Redis } from "ioredis"
import { freePort, type RedisServer, startRedis } from "./redis-server.ts"

export interface ClusterMember {
  readonly server: RedisServer
  readonly id: string
  /** A client of this node alone. */
  readonly raw: Redis
}

export interface RedisCluster {
  readonly masters: readonly ClusterMember[]
  /** One for each master, in the same order; none unless asked for. */
  readonly replicas: readonly ClusterMember[]
  /** What `redisAdapter` takes. */
  readonly nodes: string[]
  /** The master that serves the slot, by what the first living node says. */
  owner(slot: number): Promise<ClusterMember>
  /** Moves a slot with all its keys to another master; `meanwhile` is called while keys are on both sides. */
  move(slot: number, to: ClusterMember, meanwhile?: () => Promise<void>): Promise<void>
  stop(): Promise<void>
}

const nodeTimeoutMs = 1_500
const slotCount = 16_384

/** Three masters on free ports, with a replica each where wanted. */
export async function startCluster(
  options: { readonly replicas?: boolean; readonly args?: readonly string[] } = {},
): Promise<RedisCluster> {
  const count = options.replicas ? 6 : 3
  const members = await Promise.all(Array.from({ length: count }, () => startMember(options.args ?? [])))
  const [masters, replicas] = [members.slice(0, 3), members.slice(3)]
  const share = Math.ceil(slotCount / masters.length)
  await Promise.all(
    masters.map(({ raw }, i) =>
      raw.call("CLUSTER", "ADDSLOTSRANGE", i * share, Math.min((i + 1) * share, slotCount) - 1),
    ),
  )
  await Promise.all(members.map(({ raw }, i) => raw.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1)))
  for (const { port, bus } of members.slice(1))
    await members[0]!.raw.call("CLUSTER", "MEET", "127.0.0.1", port, bus)
  await everywhere(members, ({ known }) => known === count)
  await Promise.all(
    replicas.map(async ({ raw }, i) => {
      await raw.call("CLUSTER", "REPLICATE", masters[i]!.id)
    }),
  )
  await everywhere(members, ({ state, known }) => state === "ok" && known === count)
  await Promise.all(
    replicas.map(({ raw }) => until(async () => /master_link_status:up/.test(await raw.info("replication")))),
  )

  async function owner(slot: number): Promise<ClusterMember> {
    for (const { raw } of members) {
      const map = (await raw.call("CLUSTER", "SLOTS").catch(() => undefined)) as
        | [number, number, [string, number, string]][]
        | undefined
      const range = map?.find(([first, last]) => first <= slot && slot <= last)
      const found = range && members.find(({ id }) => id === range[2][2])
      if (found) return found
    }
    throw new Error(`nobody serves slot ${slot}`)
  }

  return {
    masters,
    replicas,
    nodes: masters.map(({ server }) => server.url),
    owner,
    async move(slot, to, meanwhile) {
      const from = await owner(slot)
      await to.raw.call("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id)
      await from.raw.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
      let halfway = meanwhile
      for (;;) {
        const keys = (await from.raw.call("CLUSTER", "GETKEYSINSLOT", slot, 3)) as string[]
        if (keys.length === 0) break
        await from.raw.call("MIGRATE", "127.0.0.1", to.server.port, "", 0, 5_000, "KEYS", ...keys)
        await halfway?.()
        halfway = undefined
      }
      for (const { raw } of [to, from]) await raw.call("CLUSTER", "SETSLOT", slot, "NODE", to.id)
    },
    async stop() {
      for (const { raw } of members) raw.disconnect()
      await Promise.all(members.map(({ server }) => server.stop()))
    },
  }
}

async function startMember(args: readonly string[]): Promise<ClusterMember & { port: number; bus: number }> {
  const bus = await freePort()
  const server = await startRedis({
    args: [
      ...["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"],
      ...["--cluster-port", String(bus), "--cluster-node-timeout", String(nodeTimeoutMs)],
      ...["--cluster-announce-ip", "127.0.0.1", "--repl-diskless-sync-delay", "0"],
      ...args,
    ],
  })
  const raw = new Redis(server.url, { retryStrategy: (times) => (times > 50 ? null : 100) })
  raw.on("error", () => {
    // Some are killed on purpose.
  })
  return { server, raw, bus, port: server.port, id: (await raw.call("CLUSTER", "MYID")) as string }
}

async function everywhere(
  members: readonly ClusterMember[],
  done: (node: { state: string; known: number }) => boolean,
): Promise<void> {
  for (const { raw } of members) {
    await until(async () => {
      const info = String(await raw.call("CLUSTER", "INFO"))
      const state = /cluster_state:(\w+)/.exec(info)?.[1] ?? ""
      return done({ state, known: Number(/cluster_known_nodes:(\d+)/.exec(info)?.[1]) })
    })
  }
}

async function until(done: () => Promise<boolean>): Promise<void> {
  const giveUp = Date.now() + 20_000
  while (!(await done())) {
    if (Date.now() > giveUp) throw new Error("the cluster did not come to be within 20 s")
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
