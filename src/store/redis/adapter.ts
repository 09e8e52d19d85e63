import type { Redis, RedisOptions } from "ioredis"
import { systemClock } from "../../model/clock.ts"
import { checkPrefix } from "../../model/names.ts"
import { checkNames } from "../../model/options.ts"
import type { Adapter } from "../store.ts"
import { RedisStore } from "./store.ts"
import { resolveTarget } from "./target.ts"

export interface RedisAdapterOptions {
  /** Namespace before every key, without braces. Default: none. */
  readonly prefix?: string
}

/**
 * Keeps jobs in Redis 7 or later, or Valkey, through ioredis.
 *
 * `from` is a URL (`redis://` or `rediss://`), ioredis options, or an ioredis client. A client is a template for our own
 * connections: nothing is sent through it, and it is never closed. Its `keyPrefix` is refused; use `prefix`.
 * An app has at most four connections, each opened at its first use.
 *
 * @throws TaskoraError (`INVALID`) for anything that cannot be connected to, and for unknown options.
 * @example redisAdapter("redis://localhost:6379", { prefix: "shop" })
 */
export function redisAdapter(
  from: string | RedisOptions | Redis,
  options: RedisAdapterOptions = {},
): Adapter {
  checkNames(options, ["prefix"], "redisAdapter")
  const target = resolveTarget(from)
  const prefix = checkPrefix(options.prefix)
  const base = prefix === "" ? "taskora:" : `${prefix}:taskora:`
  return {
    kind: "redis",
    prefix,
    clock: systemClock,
    open: (instance, listeners, access = "all") =>
      new RedisStore({ target, base, instance, access }, listeners),
  }
}
