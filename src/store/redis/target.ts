import type { Cluster, Redis, RedisOptions } from "ioredis"
import { show } from "../../model/duration.ts"
import { TaskoraError } from "../../model/errors.ts"
import { parseUrl } from "./url.ts"

/** Where the server is, and how to make a client for one connection to it. */
export interface Target {
  readonly address: string
  readonly port: number | undefined
  /** A client that has not connected yet. `role` shows in `CLIENT LIST`. */
  client(role: string): Promise<Redis>
}

export interface Place {
  readonly host: string
  readonly port: number
}

/** A cluster: where to ask for its map, and how to reach the nodes that the map names. */
export interface ClusterTarget {
  readonly seeds: readonly [Place, ...Place[]]
  /** Of the first seed. */
  readonly address: string
  readonly port: number
  /** Where a node is for us that others know by this place. */
  reach(place: Place): Place
  node(place: Place): Target
}

/** How long one attempt at a connection may take: socket, TLS, handshake and a first answer. */
export const openingMs = 5_000

/**
 * Each client serves one socket and is dropped with it: reconnecting, resending and queueing are the engine's. A dispatch
 * that was rejected must never leave ioredis's offline queue later, and an unanswered call is resent with its receipt.
 */
function ours(options: RedisOptions, role: string): RedisOptions {
  const attempts = 1 + (options.sentinels?.length ?? 0)
  return {
    lazyConnect: true,
    retryStrategy: () => null,
    sentinelRetryStrategy: () => null,
    reconnectOnError: null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // ioredis leaves the promise of its own resubscription to itself: a rejection there would reach the process.
    autoResubscribe: false,
    // Its INFO would print a warning for users who may not run it, and it waits for minutes while a server loads.
    enableReadyCheck: false,
    enableAutoPipelining: false,
    connectTimeout: Math.min(options.connectTimeout ?? openingMs, openingMs / attempts),
    commandTimeout: undefined,
    socketTimeout: undefined,
    blockingTimeout: undefined,
    monitor: false,
    readOnly: false,
    stringNumbers: false,
    // The same shapes of replies from ioredis 5 and 6.
    protocol: 2,
    replyMapping: "legacy",
    connectionName: `${options.connectionName ?? "taskora"}:${role}`,
  }
}

/** @throws TaskoraError (`INVALID`) for anything that cannot be connected to; never with a password in its message. */
export function resolveTarget(from: unknown): Target {
  if (typeof from === "string") return optionsTarget(parseUrl(from))
  if (typeof from !== "object" || from === null) {
    throw invalid(`expected a URL, ioredis options or an ioredis client, not ${show(from)}`)
  }
  return isClient(from) ? clientTarget(from) : optionsTarget(from as RedisOptions)
}

/**
 * The client that was given is only a template, for commands too: its offline queue and its resending could send a
 * rejected dispatch later, and a half-open socket is destroyed under whoever else uses it.
 */
function clientTarget(given: Redis): Target {
  refuseKeyPrefix(given.options)
  return {
    ...place(given.options),
    client: async (role) => given.duplicate(ours(given.options, role)),
  }
}

export function optionsTarget(options: RedisOptions): Target {
  refuseKeyPrefix(options)
  const { port } = options
  if (port !== undefined && !(Number.isInteger(Number(port)) && Number(port) > 0 && Number(port) < 65_536)) {
    throw invalid(`port ${show(port)} is not a port number`)
  }
  return {
    ...place(options),
    async client(role) {
      const Client = await loadClient()
      return new Client({ ...options, ...ours(options, role) })
    },
  }
}

export function refuseKeyPrefix({ keyPrefix }: RedisOptions): void {
  if (!keyPrefix) return
  throw invalid(
    `keyPrefix ${show(keyPrefix)} cannot be used: scripts name keys that ioredis does not see; ` +
      `use redisAdapter(..., { prefix: ${show(keyPrefix.replace(/:$/, ""))} }) instead`,
  )
}

async function loadClient(): Promise<new (options: RedisOptions) => Redis> {
  try {
    return (await import("ioredis")).Redis
  } catch (cause) {
    throw new TaskoraError("redisAdapter needs the package ioredis: npm install ioredis", "CONNECTION", {
      cause,
    })
  }
}

function place(options: RedisOptions): { address: string; port: number | undefined } {
  if (options.path) return { address: options.path, port: undefined }
  const sentinel = options.sentinels?.[0]
  return {
    address: sentinel?.host ?? options.host ?? "localhost",
    port: Number(sentinel?.port ?? options.port ?? 6379),
  }
}

export function placeText({ address, port }: Pick<Target, "address" | "port">): string {
  return port === undefined ? address : `${address.includes(":") ? `[${address}]` : address}:${port}`
}

function isClient(value: object): value is Redis {
  return "duplicate" in value && typeof value.duplicate === "function" && "options" in value
}

export function isCluster(value: unknown): value is Cluster {
  return typeof value === "object" && value !== null && "isCluster" in value && value.isCluster === true
}

export function invalid(message: string): TaskoraError {
  return new TaskoraError(`redisAdapter: ${message}`, "INVALID")
}
