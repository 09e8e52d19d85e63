import { randomBytes } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import type { Redis } from "ioredis"
import type { Adapter } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"

/** Where a run keeps its jobs. */
export interface Place {
  readonly adapter: Adapter
  readonly description: string
  /** How a second process joins; undefined where none can. */
  readonly joinCommand?: string
  /** Called when the run has begun: workers that look for one find it. */
  announce(): Promise<void>
  /** Called when the app is closed. */
  leave(): Promise<void>
}

export function inMemory(): Place {
  return {
    adapter: memoryAdapter(),
    description: "the embedded engine, in the memory of this process",
    async announce() {},
    async leave() {},
  }
}

const announcement = "taskora-example-files:run"
const announceMs = 15_000
const keptMs = 3_600_000

/** Each run has a prefix of its own, so that runs on one Redis never mix; its keys expire an hour after its end. */
export async function onRedis(url: string, name: string): Promise<Place> {
  const { redisAdapter } = await import("../../src/redis.ts")
  const prefix = `${name}-${randomBytes(3).toString("hex")}`
  const adapter = redisAdapter(url, { prefix })
  let timer: NodeJS.Timeout | undefined
  // What this loses is that a worker finds the run by itself; jobs are not concerned.
  const say = () =>
    withClient(url, (client) => client.set(announcement, prefix, "PX", announceMs)).catch(() => undefined)
  return {
    adapter,
    description: `Redis, prefix ${prefix}`,
    joinCommand: `npm run worker -- --redis ${withoutPassword(url)} --prefix ${prefix}`,
    async announce() {
      await say()
      timer = setInterval(say, announceMs / 3).unref()
    },
    async leave() {
      clearInterval(timer)
      await withClient(url, async (client) => {
        if ((await client.get(announcement)) === prefix) await client.del(announcement)
        await expireAll(client, `${prefix}:*`)
      }).catch((error: Error) => console.error(`keys of ${prefix} stay behind: ${error.message}`))
    },
  }
}

/** The prefix of the run that is under way. Waits for one to begin; undefined where `signal` ends the waiting. */
export async function findRun(
  url: string,
  { onWait, signal }: { onWait: () => void; signal: AbortSignal },
): Promise<string | undefined> {
  for (let tries = 0; !signal.aborted; tries++) {
    const prefix = await withClient(url, (client) => client.get(announcement))
    if (prefix !== null) return prefix
    if (tries === 0) onWait()
    await sleep(500)
  }
  return undefined
}

export function withoutPassword(url: string): string {
  const shown = new URL(url)
  if (shown.password) shown.password = "PASSWORD"
  return shown.href.replace(/\/$/, "")
}

async function expireAll(client: Redis, pattern: string): Promise<void> {
  let cursor = "0"
  do {
    const [next, keys] = await client.scan(cursor, "MATCH", pattern, "COUNT", 1000)
    const batch = client.pipeline()
    for (const key of keys) batch.pexpire(key, keptMs)
    await batch.exec()
    cursor = next
  } while (cursor !== "0")
}

async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const { Redis } = await import("ioredis")
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 })
  // The call that fails says so; without a listener ioredis would print it a second time.
  client.on("error", () => {})
  try {
    await client.connect()
    return await use(client)
  } finally {
    client.disconnect()
  }
}
