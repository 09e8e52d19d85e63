import type { Cluster, Redis, RedisOptions } from "ioredis"
import { systemClock } from "../../model/clock.ts"
import { checkPrefix } from "../../model/names.ts"
import { checkNames } from "../../model/options.ts"
import { slotOf } from "../slots.ts"
import type { Adapter } from "../store.ts"
import { ClusterStore } from "./cluster/store.ts"
import { type RedisClusterOptions, resolveCluster } from "./cluster/target.ts"
import { RedisStore } from "./store.ts"
import { resolveTarget } from "./target.ts"

export type { RedisClusterOptions } from "./cluster/target.ts"

export interface RedisAdapterOptions {
  /** Namespace before every key, without braces. Default: none. */
  readonly prefix?: string
}

/**
 * Keeps jobs in Redis 7 or later, or Valkey, through ioredis.
 *
 * `from` is a URL (`redis://` or `rediss://`), ioredis options, or an ioredis client; for a Redis Cluster it is `{ nodes }`,
 * with ioredis options beside it, or an ioredis `Cluster`. A client is a template for our own connections: nothing is sent
 * through it, and it is never closed. Its `keyPrefix` is refused; use `prefix`.
 * An app has at most four connections, in a cluster at most three to each master, each opened at its first use.
 *
 * @throws TaskoraError (`INVALID`) for anything that cannot be connected to, and for unknown options.
 * @example redisAdapter("redis://localhost:6379", { prefix: "shop" })
 * @example redisAdapter({ nodes: ["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"] })
 */
export function redisAdapter(
  from: string | RedisOptions | Redis | RedisClusterOptions | Cluster,
  options: RedisAdapterOptions = {},
): Adapter {
  checkNames(options, ["prefix"], "redisAdapter")
  const cluster = resolveCluster(from)
  const prefix = checkPrefix(options.prefix)
  const common = { kind: "redis", prefix, clock: systemClock } as const
  if (cluster) {
    return {
      ...common,
      slotOf,
      open: (instance, listeners, access = "all") =>
        new ClusterStore({ target: cluster, prefix, instance, access }, listeners),
    }
  }
  const target = resolveTarget(from)
  return {
    ...common,
    open: (instance, listeners, access = "all") =>
      new RedisStore({ target, prefix, instance, access }, listeners),
  }
}
