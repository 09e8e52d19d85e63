import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { clusterExporter } from "../../exporters/cluster.ts"
import { redisAdapter } from "../../src/redis.ts"
import { slotOf } from "../../src/store/slots.ts"
import { testApps, until } from "../support/hosts.ts"
import { type RedisCluster, startCluster } from "../support/redis-cluster.ts"
import { redisAvailable, startRedis } from "../support/redis-server.ts"
import { root } from "../support/repository.ts"

let prefixes = 0
const pageOf = (name: string) => readFileSync(join(root, "docs", name), "utf8")
/** The user on the exporter's page, and what a cluster adds to it. */
const exporterRules = /ACL SETUSER taskora-exporter (.*)/.exec(pageOf("exporter.md"))![1]!
const clusterRules = /to which a cluster adds\s+`([^`]*)`/.exec(pageOf("operations.md"))![1]!

describe.skipIf(!redisAvailable())("apps on a cluster", () => {
  const app = testApps()
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  /** Adapters on the same data, each as of another process. */
  function place(): () => ReturnType<typeof redisAdapter> {
    const prefix = `work${++prefixes}`
    return () => redisAdapter({ nodes: cluster.nodes }, { prefix })
  }

  it("works on tasks that lie on all nodes, and is told of all their events in order", async () => {
    const adapter = place()
    const [worker, other] = [app({ adapter: adapter() }), app({ adapter: adapter() })]
    const names = Array.from({ length: 30 }, (_, i) => `task-${i}`)
    const heard: string[] = []
    other.on("task:active", ({ task }) => heard.push(`${task} active`))
    other.on("task:completed", ({ task }) => heard.push(`${task} completed`))
    for (const name of names) worker.task<number, number>(name, async (n) => n + 1)
    const tasks = names.map((name) => other.task<number, number>(name))
    await Promise.all([worker.start(), other.listen()])
    const results = await Promise.all(tasks.map((task) => task.dispatch(1).result))
    expect(results).toEqual(names.map(() => 2))
    await until(() => heard.length === 60, "all events were heard")
    for (const name of names)
      expect(heard.filter((line) => line.startsWith(`${name} `))).toEqual([
        `${name} active`,
        `${name} completed`,
      ])
    const owners = await Promise.all(names.map(async (name) => (await cluster.owner(slotOf(`{${name}}`))).id))
    expect(new Set(owners).size).toBe(3)
  })

  it("cancels, delays, retries, recovers and inspects", async () => {
    const adapter = place()
    const [worker, other] = [app({ adapter: adapter() }), app({ adapter: adapter() })]
    const aborted: string[] = []
    worker.task<string, string>("work", {
      concurrency: 5,
      retry: { attempts: 2, delay: 10, jitter: false },
      async handler(what, ctx) {
        if (what === "fail" && ctx.attempt === 1) throw ctx.retry({ reason: "not yet" })
        if (what === "hang")
          await new Promise((_, reject) => {
            ctx.signal.addEventListener("abort", () => {
              aborted.push(ctx.id)
              reject(ctx.signal.reason)
            })
          })
        return `${what} ${ctx.attempt}`
      },
    })
    const work = other.task<string, string>("work")
    await worker.start()
    expect(await work.dispatch("late", { delay: 30 }).result).toBe("late 1")
    expect(await work.dispatch("fail").result).toBe("fail 2")
    const hanging = work.dispatch("hang", { jobId: "hanging" })
    await until(async () => (await hanging.getState()) === "active", "it runs")
    expect(await hanging.cancel({ reason: "enough" })).toBe("requested")
    await expect(hanging.result).rejects.toMatchObject({ name: "CancelledError", reason: "enough" })
    expect(aborted).toEqual(["hanging"])
    const inspect = other.inspect()
    expect(await inspect.stats()).toMatchObject({ completed: 2, cancelled: 1, active: 0 })
    expect((await inspect.workers()).map(({ tasks }) => tasks)).toEqual([["work"]])
    expect(await inspect.tasks()).toMatchObject([{ name: "work" }])
    expect((await inspect.completed()).length).toBe(2)
    expect(await inspect.find("hanging")).toMatchObject({ state: "cancelled" })
  })

  it("has nine connections for 300 tasks, and asks next to nothing while nothing happens", async () => {
    const adapter = place()
    const taskora = app({ adapter: adapter() })
    taskora.on("task:completed", () => {})
    const tasks = Array.from({ length: 300 }, (_, i) => taskora.task<number, number>(`t${i}`, async (n) => n))
    await taskora.start()
    await Promise.all(tasks.map((task) => task.dispatch(1).result))
    const names = async () => {
      const lists = await Promise.all(cluster.masters.map(({ raw }) => raw.client("LIST")))
      return lists.flatMap((list) => String(list).match(/name=taskora:\w+/g) ?? []).sort()
    }
    expect(await names()).toEqual(
      ["commands", "reader", "subscriber"].flatMap((role) => Array(3).fill(`name=taskora:${role}`)),
    )
    // The turn of upkeep that begins with the load goes by first.
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    const before = await commandsOf(cluster)
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    expect((await commandsOf(cluster)) - before).toBeLessThan(5 * 6)
    expect(await tasks[7]!.dispatch(3).result).toBe(3)
  }, 60_000)

  it("is seen by an exporter, and by one with the least permissions", async () => {
    const adapter = place()
    const taskora = app({ adapter: adapter() })
    const tasks = ["a", "b", "c"].map((name) => taskora.task<number, number>(name, async (n) => n))
    await taskora.start()
    await Promise.all(tasks.map((task) => task.dispatch(1).result))
    const { prefix } = adapter()
    const own = exporterRules.replace("shop:", `${prefix}:`)
    const users = [own, `${own} ${clusterRules}`].map((rules) => rules.replace(/>\S+/, ">secret").split(" "))
    for (const [i, rules] of users.entries())
      await Promise.all(
        cluster.masters.map(({ raw }) => raw.call("ACL", "SETUSER", `reader${i}`, "reset", ...rules)),
      )
    const as = (user: string) => cluster.nodes.map((url) => url.replace("//", `//${user}:secret@`))
    for (const nodes of [cluster.nodes, as("reader1")]) {
      const exporter = clusterExporter({ adapter: redisAdapter({ nodes }, { prefix }), port: 0 })
      onTestFinished(() => exporter.close())
      await exporter.start()
      const text = await (await fetch(`http://127.0.0.1:${exporter.port}/metrics`)).text()
      for (const name of ["a", "b", "c"])
        expect(text).toMatch(new RegExp(`task="${name}",transition="completed"} 1$`, "m"))
    }
    const poor = clusterExporter({ adapter: redisAdapter({ nodes: as("reader0") }, { prefix }), port: 0 })
    await expect(poor.start()).rejects.toMatchObject({ code: "PERMISSION", missing: ["cluster|slots"] })
    await poor.close()
  })

  it("says so where a cluster was named and a server is found, or no node answers, or the password is wrong", async () => {
    const single = await startRedis()
    onTestFinished(() => single.stop())
    const failure = (nodes: string[]) =>
      app({ adapter: redisAdapter({ nodes }) })
        .start()
        .then(
          () => undefined,
          (error: Error) => error,
        )
    expect((await failure([single.url]))?.message).toMatch(/not part of a cluster.*redisAdapter\(url\)/)
    expect((await failure(["redis://127.0.0.1:1", "redis://127.0.0.1:2"]))?.message).toMatch(
      /cannot reach Redis at 127.0.0.1:1, 127.0.0.1:2: .*ECONNREFUSED/,
    )
    const wrong = await failure([cluster.nodes[0]!.replace("//", "//nobody:hunter2@")])
    expect(wrong).toMatchObject({ name: "ConnectionError", refused: true })
    expect(wrong?.message).toMatch(/refused the user or password/)
    expect(String(wrong?.stack)).not.toContain("hunter2")
    // One of the nodes named is enough.
    expect(await failure(["redis://127.0.0.1:1", cluster.nodes[1]!])).toBeUndefined()
  })
})

/** How many commands clients have sent, those that scripts call apart. */
async function commandsOf(cluster: RedisCluster): Promise<number> {
  let sum = 0
  for (const { server } of cluster.masters) {
    const raw = new Redis(server.url)
    const info = await raw.info("commandstats")
    raw.disconnect()
    for (const [, name, calls] of info.matchAll(
      /cmdstat_(evalsha|eval|xread|zpopmin|ssubscribe|ping|cluster\|slots):calls=(\d+)/g,
    ))
      sum += name ? Number(calls) : 0
  }
  return sum
}
