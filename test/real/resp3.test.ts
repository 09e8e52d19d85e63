import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { testApps } from "../support/hosts.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"

describe.skipIf(!redisAvailable())("a client that speaks RESP3", () => {
  const app = testApps()
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  it.each([
    ["a client", (url: string) => new Redis(url, { protocol: 3, replyMapping: "resp3" })],
    [
      "options",
      (url: string) => ({ port: Number(new URL(url).port), protocol: 3, replyMapping: "resp3" }) as const,
    ],
  ])("is a template like any other: %s; our connections speak RESP2", async (name, from) => {
    const given = from(server.url)
    if (given instanceof Redis) onTestFinished(() => given.disconnect())
    const taskora = app({ adapter: redisAdapter(given as never, { prefix: name.replace(" ", "-") }) })
    const heard: number[] = []
    const task = taskora.task<number, number>("work", async (n) => n + 1)
    task.on("completed", ({ result }) => heard.push(result))
    await taskora.start()
    const results = await Promise.all([1, 2, 3].map((n) => task.dispatch(n, { delay: n }).result))
    expect(results).toEqual([2, 3, 4])
    expect(heard.sort()).toEqual([2, 3, 4])
    expect(await taskora.inspect().stats()).toMatchObject({ completed: 3 })
    const raw = new Redis(server.url)
    onTestFinished(() => raw.disconnect())
    const ours = String(await raw.client("LIST"))
      .split("\n")
      .filter((line) => line.includes("name=taskora:"))
    expect(ours).toHaveLength(4)
    for (const line of ours) expect(line).toContain("resp=2")
  })
})
