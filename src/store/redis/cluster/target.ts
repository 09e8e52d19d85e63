import type { Cluster, NatMap, RedisOptions } from "ioredis"
import { show } from "../../../model/duration.ts"
import {
  type ClusterTarget,
  invalid,
  isCluster,
  optionsTarget,
  type Place,
  refuseKeyPrefix,
} from "../target.ts"
import { parseUrl } from "../url.ts"

/** A Redis Cluster: some of its nodes, which tell of the others, and ioredis options for each. */
export interface RedisClusterOptions extends RedisOptions {
  /** URLs or places of some nodes, of which one must be up at the start. User, password and TLS of the first URL are for all. */
  readonly nodes: readonly (string | { readonly host?: string; readonly port?: number })[]
  /** Where nodes are for this process that name themselves otherwise, "host:port" by "host:port", as ioredis takes it. */
  readonly natMap?: NatMap
}

/** The cluster that was given; undefined for a single server. @throws TaskoraError (`INVALID`) */
export function resolveCluster(from: unknown): ClusterTarget | undefined {
  if (isCluster(from)) return clientTarget(from)
  if (typeof from !== "object" || from === null || !("nodes" in from) || typeof from.nodes === "function")
    return undefined
  const { nodes, natMap, ...options } = from as RedisClusterOptions
  return target(nodes, { options, natMap })
}

/** As a client is for a single server, a given cluster is only a template. */
function clientTarget(cluster: Cluster): ClusterTarget {
  // ioredis has no public name for them.
  const { startupNodes } = cluster as unknown as { startupNodes?: RedisClusterOptions["nodes"] }
  refuseKeyPrefix(cluster.options)
  const { redisOptions = {}, natMap } = cluster.options
  return target(startupNodes, { options: redisOptions, natMap: natMap ?? undefined })
}

function target(
  nodes: unknown,
  { options, natMap }: { readonly options: RedisOptions; readonly natMap: NatMap | undefined },
): ClusterTarget {
  if (!Array.isArray(nodes))
    throw invalid(`nodes must be a list of URLs or of { host, port }, not ${show(nodes)}`)
  const read = nodes.map(nodeOptions)
  const [first] = read
  if (!first) throw invalid("nodes is empty; name at least one node of the cluster")
  refuseKeyPrefix(options)
  const { username, password, tls } = first
  const common: RedisOptions = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    ...options,
  }
  const database = common.db ?? first.db ?? 0
  if (Number(database) !== 0) throw invalid(`a cluster has database 0 only, not ${show(database)}`)
  const seeds = read.map(({ host = "127.0.0.1", port = 6379 }) => ({ host, port })) as [Place, ...Place[]]
  return {
    seeds,
    address: seeds[0].host,
    port: seeds[0].port,
    reach: (place) => reached(place, natMap),
    node: ({ host, port }) => optionsTarget({ ...common, host, port }),
  }
}

function nodeOptions(node: unknown): RedisOptions {
  if (typeof node === "string") return parseUrl(/^rediss?:/i.test(node) ? node : `redis://${node}`)
  if (typeof node === "number") return { port: node }
  if (typeof node !== "object" || node === null)
    throw invalid(`nodes: ${show(node)} is neither a URL nor { host, port }`)
  const options = node as RedisOptions
  // Read for what is wrong with them.
  optionsTarget(options)
  return { ...options, ...(options.port === undefined ? {} : { port: Number(options.port) }) }
}

function reached({ host, port }: Place, natMap: NatMap | undefined): Place {
  const name = `${host}:${port}`
  return (typeof natMap === "function" ? natMap(name) : natMap?.[name]) ?? { host, port }
}
