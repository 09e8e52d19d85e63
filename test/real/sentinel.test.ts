import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { EventsLostError } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { testApps, until } from "../support/hosts.ts"
import { type FaultyProxy, startProxy } from "../support/proxy.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"

describe.skipIf(!redisAvailable())("a failover by Sentinel under load", () => {
  const app = testApps()
  let master: RedisServer
  let replica: RedisServer
  let proxy: FaultyProxy
  let sentinels: RedisServer[]
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "taskora-sentinel-"))
    master = await startRedis({ args: ["--repl-diskless-sync-delay", "0"] })
    proxy = await startProxy(master.port)
    replica = await startRedis({ args: ["--replicaof", "127.0.0.1", String(master.port)] })
    sentinels = await Promise.all(
      [1, 2, 3].map(async (n) => {
        const file = join(directory, `sentinel-${n}.conf`)
        const lines = [
          `sentinel monitor jobs 127.0.0.1 ${master.port} 2`,
          "sentinel down-after-milliseconds jobs 800",
          "sentinel failover-timeout jobs 4000",
        ]
        await writeFile(file, `${lines.join("\n")}\n`)
        return startRedis({ config: file, args: ["--sentinel"] })
      }),
    )
    const raw = new Redis(sentinels[0]!.url)
    await until(async () => {
      const [found] = (await raw.call("SENTINEL", "MASTERS")) as string[][]
      const of = (name: string) => found?.[found.indexOf(name) + 1]
      return of("num-slaves") === "1" && of("num-other-sentinels") === "2"
    }, "the sentinels know each other and the replica")
    raw.disconnect()
  })
  afterAll(async () => {
    await Promise.all([master, replica, ...sentinels].map((server) => server.stop()))
    await proxy.stop()
    await rm(directory, { recursive: true, force: true })
  })

  it("loses the tail that the replica had not got, reports the gap, and goes on", async () => {
    const adapter = () =>
      redisAdapter(
        { sentinels: sentinels.map(({ port }) => ({ host: "127.0.0.1", port })), name: "jobs" },
        { prefix: "guarded" },
      )
    const [worker, listener, producer] = [
      app({ adapter: adapter() }, true),
      app({ adapter: adapter() }, true),
      app({ adapter: adapter() }, true),
    ]
    const errors: Error[] = []
    listener.on("worker:error", (error) => errors.push(error))
    for (const one of [worker, producer]) one.on("worker:error", () => {})
    const completed = new Set<string>()
    worker.task<number, number>("work", { concurrency: 5, handler: async (n) => n })
    listener.task("work").on("completed", ({ id }) => completed.add(id))
    const work = producer.task<number, number>("work")
    await Promise.all([worker.start(), listener.listen()])

    const acknowledged: { id: string; at: number }[] = []
    const refused: Error[] = []
    let ended = false
    const load = (async () => {
      while (!ended) {
        const outcomes = await Promise.allSettled([1, 2, 3].map((n) => work.dispatch(n)))
        for (const outcome of outcomes) {
          if (outcome.status === "fulfilled") acknowledged.push({ id: outcome.value, at: performance.now() })
          else refused.push(outcome.reason)
        }
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    await until(() => completed.size > 100, "there is load")

    // From now on what the master sends reaches its replica by way of us, and then no more.
    const raw = new Redis(replica.url)
    await raw.call("REPLICAOF", "127.0.0.1", proxy.port)
    await until(async () => /master_link_status:up/.test(await raw.info("replication")), "it follows")
    await until(() => completed.size > 200, "there is load")
    const cutAt = performance.now()
    proxy.swallowed.add("replies")
    const heard = completed.size
    await until(() => completed.size > heard + 100, "there is a tail")
    const killedAt = performance.now()
    await master.kill()
    proxy.cut()

    await until(async () => /role:master/.test(await raw.info("replication")), "the replica was promoted")
    raw.disconnect()
    const later = () => acknowledged.filter(({ at }) => at > killedAt + 200)
    await until(() => later().length > 100, "dispatching goes on")
    ended = true
    await load
    const safe = acknowledged.filter(({ at }) => at < cutAt - 300 || at > killedAt + 200)
    await until(() => safe.every(({ id }) => completed.has(id)), "all that was not in the tail is completed")
    const lost = errors.filter((error) => error instanceof EventsLostError)
    expect(lost.length).toBeGreaterThan(0)
    expect(lost[0]?.message).toMatch(/went back|ends before what was read/)
    expect(errors.filter(({ name }) => name === "ConnectionError")).toHaveLength(1)
    for (const error of refused as (Error & { code: string })[])
      expect(["CONNECTION", "UNCONFIRMED"]).toContain(error.code)
    const { waiting, active } = await producer.inspect().stats()
    expect({ waiting, active }).toEqual({ waiting: 0, active: 0 })
  }, 90_000)

  it("says so where no sentinel answers, or none knows the name", async () => {
    const failure = (options: Parameters<typeof redisAdapter>[0]) =>
      app({ adapter: redisAdapter(options) })
        .start()
        .then(
          () => undefined,
          (error: Error) => error,
        )
    const { port } = sentinels[0]!
    const [nobody, unknown] = await Promise.all([
      failure({ sentinels: [{ host: "127.0.0.1", port: 1 }], name: "jobs" }),
      failure({ sentinels: [{ host: "127.0.0.1", port }], name: "tasks" }),
    ])
    expect(nobody?.message).toMatch(/^cannot reach Redis at 127.0.0.1:1: no sentinel named the master: /)
    expect(unknown?.message).toMatch(
      /^cannot reach Redis at 127.0.0.1:\d+: no sentinel named the master: .*No such master with that name/,
    )
  }, 30_000)
})
