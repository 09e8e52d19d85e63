import { createHash } from "node:crypto"
import { Redis } from "ioredis"
import { memoryAdapter } from "../../../src/store/embedded/adapter.ts"
import type { ScriptSource, Store, StoreListeners } from "../../../src/store/store.ts"
import { type ManualClock, manualClock } from "../../support/manual-clock.ts"
import { sharedRedis } from "../../support/redis-server.ts"

/** What a host answered: a reply, or the text of its error. */
export type Answer = { reply: unknown } | { error: string }

/** One of the two keyspaces that must not differ. */
export interface Host {
  /** Runs commands in order. */
  commands(list: readonly (readonly string[])[]): Promise<Answer[]>
  script(text: string, keys: readonly string[], args: readonly string[]): Promise<Answer>
  /** Lets time go by. */
  pass(ms: number): Promise<void>
  close(): Promise<void>
}

export const silent: StoreListeners = { lost() {}, back() {}, message() {} }

export function source(text: string): ScriptSource {
  return { name: "test", text, sha: createHash("sha1").update(text).digest("hex") }
}

export async function memoryHost(): Promise<Host & { store: Store; clock: ManualClock }> {
  const clock = manualClock()
  const adapter = memoryAdapter({ clock })
  const store = adapter.open("test", silent)
  await store.connect()
  return {
    store,
    clock,
    commands: async (list) => list.map((args) => answerOf(() => adapter.command(args))),
    script: (text, keys, args) => settled(store.run(source(text), keys, args)),
    pass: (ms) => clock.advance(ms),
    close: () => store.close(),
  }
}

/** A real server; only keys with the test's own prefix are touched. */
export async function redisHost(): Promise<Host> {
  const server = await sharedRedis()
  const redis = new Redis(server.url, { protocol: 2 })
  return {
    async commands(list) {
      const pipeline = redis.pipeline()
      for (const [name, ...args] of list) pipeline.call(name!.toUpperCase(), ...args)
      const results = (await pipeline.exec()) ?? []
      return results.map(([error, reply]) => (error ? { error: error.message } : { reply }))
    },
    script: (text, keys, args) => settled(redis.call("EVAL", text, keys.length, ...keys, ...args)),
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    async close() {
      redis.disconnect()
      await server.stop()
    },
  }
}

function answerOf(call: () => unknown): Answer {
  try {
    return { reply: call() }
  } catch (error) {
    return { error: (error as Error).message }
  }
}

async function settled(promise: Promise<unknown>): Promise<Answer> {
  try {
    return { reply: await promise }
  } catch (error) {
    return { error: (error as Error).message }
  }
}
