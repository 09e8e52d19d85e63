import { randomBytes } from "node:crypto"
import { afterAll, afterEach, beforeAll, describe } from "vitest"
import { type App, type AppOptions, createTaskora } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { redisAdapter } from "../../src/redis.ts"
import type { Adapter } from "../../src/store/store.ts"
import { redisAvailable, sharedRedis } from "./redis-server.ts"

/** One place where the engine runs, for tests that must hold on each. */
export interface TestHost {
  readonly name: "redis" | "embedded"
  /** A fresh namespace; every app of a test opened on the same one shares its data. */
  adapter(): Adapter
  /** Another adapter on the same data, as another process would have. */
  sibling(adapter: Adapter): Adapter
  /** The server's URL; undefined for the embedded engine. */
  url(): string | undefined
}

/**
 * Runs the same tests on both hosts. Without any Redis the embedded half runs and the other is reported as skipped
 * (an error when CI is set, see `redisAvailable`).
 */
export function onBothHosts(title: string, tests: (host: TestHost) => void): void {
  describe(`${title} (embedded)`, () => tests(embedded))
  onRedis(title, tests)
}

/** Runs tests on Redis only, on a server of this file's own. */
export function onRedis(title: string, tests: (host: TestHost) => void): void {
  describe.skipIf(!redisAvailable())(`${title} (redis)`, () => {
    let server: Awaited<ReturnType<typeof sharedRedis>>
    beforeAll(async () => {
      server = await sharedRedis()
    })
    afterAll(async () => {
      await server.stop()
    })
    tests({
      name: "redis",
      adapter: () => redisAdapter(server.url, { prefix: `t${randomBytes(6).toString("hex")}` }),
      sibling: ({ prefix }) => redisAdapter(server.url, { prefix }),
      url: () => server.url,
    })
  })
}

const embedded: TestHost = {
  name: "embedded",
  adapter: () => memoryAdapter({ prefix: `t${randomBytes(6).toString("hex")}` }),
  sibling: (adapter) => adapter,
  url: () => undefined,
}

/** Apps that are closed after each test, whatever becomes of it; a `worker:error` that nobody expects fails the test. */
export function testApps(): (options: AppOptions, expectErrors?: boolean) => App {
  const open: App[] = []
  const errors: Error[] = []
  afterEach(async () => {
    await Promise.all(open.splice(0).map((app) => app.close({ timeout: 1000 })))
    const unexpected = errors.splice(0)
    if (unexpected.length > 0) throw new AggregateError(unexpected, `worker:error: ${unexpected[0]}`)
  })
  return (options, expectErrors = false) => {
    const app = createTaskora(options)
    if (!expectErrors) app.on("worker:error", (error) => errors.push(error))
    open.push(app)
    return app
  }
}

/** Resolves when `done` says so, asked again after each turn of the loop and then every few ms; fails after `ms`. */
export async function until(
  done: () => boolean | Promise<boolean>,
  what: string,
  ms = 15_000,
): Promise<void> {
  const giveUp = performance.now() + ms
  while (!(await done())) {
    if (performance.now() > giveUp) throw new Error(`waited ${ms} ms in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
