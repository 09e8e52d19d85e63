import { Redis } from "ioredis"
import { expect, it, onTestFinished } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { startRedis } from "../support/redis-server.ts"
import { tally } from "./ledger.ts"
import { pause } from "./work.ts"

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Counts the commands that clients send, other than our own and what scripts call. */
async function countCommands(url: string, during: () => Promise<void>): Promise<string[]> {
  const redis = new Redis(url)
  const monitor = await redis.monitor()
  const seen: string[] = []
  monitor.on("monitor", (_time: string, args: string[], source: string) => {
    if (source !== "lua") seen.push(args[0]!.toLowerCase())
  })
  await during()
  monitor.disconnect()
  redis.disconnect()
  return seen
}

onRedis("waking", (host) => {
  const open = testApps()

  it("a job whose wake marker was lost waits 5 s at the most", async () => {
    const adapter = host.adapter()
    // Blocked before the worker is, and so served first.
    const thief = new Redis(host.url()!)
    onTestFinished(() => thief.disconnect())
    const stolen = thief.call("bzpopmin", `${adapter.prefix}:taskora:{work}:wake`, 0)
    const app = open({ adapter })
    const began: number[] = []
    app.task("work", () => void began.push(performance.now()))
    await app.start()
    const task = open({ adapter: host.sibling(adapter) }).task("work")
    const redis = new Redis(host.url()!)
    onTestFinished(() => redis.disconnect())
    const blocked = async () => /blocked_clients:(\d+)/.exec(String(await redis.info("clients")))![1]
    await until(async () => (await blocked()) === "2", "thief and worker wait")
    await task.dispatch(1)
    const start = performance.now()
    await stolen
    await until(() => began.length === 1, "the job runs")
    expect(began[0]! - start).toBeLessThan(5500)
  })

  it("a worker whose slots are all busy sends next to nothing, whatever waits", async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const newWorker = () => {
      const app = open({ adapter: redisAdapter(server.url) })
      const task = app.task("work", { handler: (_, { signal }) => pause(3000, signal), concurrency: 2 })
      app.task("idle", () => {})
      return { app, task }
    }
    const workers = [newWorker(), newWorker()]
    const { task } = workers[0]!
    await Promise.all(task.dispatchMany(Array.from({ length: 500 }, (_, i) => ({ data: i }))))
    for (const { app } of workers) await app.start()
    const stats = () => workers[0]!.app.inspect().stats({ task: "work" })
    await until(async () => (await stats()).active === 4, "all slots are busy")
    await wait(200)
    const sent = await countCommands(server.url, () => wait(1500))
    expect(sent.length, `${[...tally(sent)]}`).toBeLessThan(10)
  })

  it("an idle process with a thousand tasks sends under five commands a second, on four connections", async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const app = open({ adapter: redisAdapter(server.url) })
    for (let i = 0; i < 1000; i++) app.task(`task-${i}`, () => {})
    await app.start()
    const redis = new Redis(server.url)
    onTestFinished(() => redis.disconnect())
    // The first claims of a thousand tasks are over.
    await wait(2000)
    const seconds = 10
    const sent = await countCommands(server.url, () => wait(seconds * 1000))
    expect(sent.length / seconds, `${[...tally(sent)]}`).toBeLessThan(5)
    const clients = String(await redis.call("client", "list")).split("\n")
    expect(clients.filter((line) => line.includes("name=taskora:")).length).toBeLessThanOrEqual(4)
  })
})
