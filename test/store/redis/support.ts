import { createHash } from "node:crypto"
import { Redis } from "ioredis"
import { onTestFinished } from "vitest"
import { type RedisAdapterOptions, redisAdapter } from "../../../src/redis.ts"
import type { ScriptSource, Store, StoreListeners } from "../../../src/store/store.ts"
import { StoreError } from "../../../src/store/store.ts"

export interface Heard {
  readonly lost: Error[]
  back: number
  readonly messages: string[]
}

export interface TestStore {
  readonly store: Store
  readonly heard: Heard
  readonly prefix: string
}

let instances = 0

/** A store under a prefix of its own, closed when the test ends. */
export function openStore(
  from: Parameters<typeof redisAdapter>[0],
  options: RedisAdapterOptions = {},
): TestStore {
  const prefix = options.prefix ?? `test${process.pid}x${++instances}`
  const heard: Heard = { lost: [], back: 0, messages: [] }
  const listeners: StoreListeners = {
    lost: (error) => heard.lost.push(error),
    back: () => heard.back++,
    message: (channel, text) => heard.messages.push(`${channel} ${text}`),
  }
  const store = redisAdapter(from, { ...options, prefix }).open(`i${++instances}`, listeners)
  onTestFinished(() => store.close())
  return { store, heard, prefix }
}

export async function connectStore(...args: Parameters<typeof openStore>): Promise<TestStore> {
  const opened = openStore(...args)
  await opened.store.connect()
  return opened
}

export function lua(name: string, text: string): ScriptSource {
  return { name, text, sha: createHash("sha1").update(text).digest("hex") }
}

/** A plain client beside the store, closed when the test ends. */
export function rawClient(url: string): Redis {
  const client = new Redis(url)
  onTestFinished(() => client.disconnect())
  return client
}

export async function failureOf(promise: Promise<unknown>): Promise<StoreError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof StoreError) return error
    throw error
  }
  throw new Error("expected a rejection")
}

/** Waits for a condition that no event announces. */
export async function until(condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`still not so after ${ms} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Waits until so many clients of the server are blocked. */
export async function blocked(raw: Redis, clients: number): Promise<void> {
  await until(async () => String(await raw.info("clients")).includes(`blocked_clients:${clients}\r`))
}
