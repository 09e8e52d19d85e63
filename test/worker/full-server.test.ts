import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { claimAndVanish } from "../support/ghost.ts"
import { testApps, until } from "../support/hosts.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"

describe.skipIf(!redisAvailable())("a server whose memory is full", () => {
  const open = testApps()
  let server: RedisServer
  let admin: Redis
  let prefix = 0
  const adapter = () => redisAdapter(server.url, { prefix: `full${prefix}` })

  beforeAll(async () => {
    server = await startRedis({ args: ["--maxmemory-policy", "noeviction"] })
    admin = new Redis(server.url)
  })
  afterAll(async () => {
    admin.disconnect()
    await server.stop()
  })

  /** Lets the work be done while the server refuses whatever takes memory. */
  async function whileFull(work: () => Promise<void>): Promise<void> {
    await admin.config("SET", "maxmemory", "1")
    try {
      await work()
    } finally {
      await admin.config("SET", "maxmemory", "0")
      prefix++
    }
  }

  it("lets a worker start, on a prefix that nobody has used too", async () => {
    await whileFull(async () => {
      const app = open({ adapter: adapter() })
      app.task("work", async () => 1)
      await app.start()
      expect(await app.inspect().workers()).toHaveLength(1)
    })
  })

  it("lets workers claim, renew, settle and recover, and refuses a dispatch whole", async () => {
    const before = open({ adapter: adapter() })
    const jobs = before.task("work").dispatchMany([{ data: "runs" }, { data: "waits" }])
    await Promise.all(jobs)
    await claimAndVanish(adapter(), "work", 1)
    await whileFull(async () => {
      const app = open({ adapter: adapter() })
      const ran: string[] = []
      const task = app.task<string>("work", {
        stall: { interval: 400 },
        handler: async (data, ctx) => {
          await ctx.heartbeat()
          ran.push(data)
        },
      })
      await app.start()
      await Promise.all(jobs.map((handle) => handle.result))
      expect(ran.sort()).toEqual(["runs", "waits"])
      await expect(task.dispatch("refused")).rejects.toMatchObject({
        code: "STORE",
        message: expect.stringContaining("the store refused the dispatch: "),
      })
      expect(await app.inspect().stats()).toMatchObject({ waiting: 0, active: 0, completed: 2 })
      expect(ran).toHaveLength(2)
    })
  })

  it.each(["waiting", "delayed", "active"] as const)("lets a %s job be cancelled", async (state) => {
    const app = open({ adapter: adapter() })
    const task = app.task("work", {
      handler: (_, ctx) =>
        new Promise((_resolve, reject) => ctx.signal.addEventListener("abort", () => reject(new Error("e")))),
    })
    const handle = task.dispatch({}, state === "delayed" ? { delay: "1h" } : {})
    await handle
    if (state === "active") {
      await app.start()
      await until(async () => (await handle.getState()) === "active", "the job runs")
    }
    await whileFull(async () => {
      expect(await handle.cancel()).toBe(state === "active" ? "requested" : "cancelled")
      await until(async () => (await handle.getState()) === "cancelled", "the job is cancelled")
    })
  })
})
