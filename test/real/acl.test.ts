import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { ruleName, sampleCalls } from "../../src/store/redis/commands.ts"
import { testApps, until } from "../support/hosts.ts"
import { type RedisCluster, startCluster } from "../support/redis-cluster.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"
import { rulesOf } from "./acl-rules.ts"

const password = "hunter2hunter2"

describe.skipIf(!redisAvailable())("the users of docs/operations.md", () => {
  const app = testApps()
  let server: RedisServer
  let admin: Redis
  let prefixes = 0
  beforeAll(async () => {
    server = await startRedis()
    admin = new Redis(server.url)
  })
  afterAll(async () => {
    admin.disconnect()
    await server.stop()
  })

  const own = () => ({ prefix: `acl${++prefixes}`, password })
  const as = (user: string) => server.url.replace("//", `//${user}:${password}@`)
  const setUser = (user: string, ...rules: string[]) => admin.call("ACL", "SETUSER", user, "reset", ...rules)

  /** Dispatches, listens, cancels, inspects and works, in two apps; the server must have denied nothing. */
  async function live(adapters: {
    worker: () => ReturnType<typeof redisAdapter>
    client: () => ReturnType<typeof redisAdapter>
  }) {
    const [worker, client] = [app({ adapter: adapters.worker() }), app({ adapter: adapters.client() })]
    worker.task<string, string>("send-mail", {
      concurrency: 3,
      retry: { attempts: 2, delay: 5, jitter: false },
      stall: { interval: 1_000 },
      async handler(what, ctx) {
        ctx.progress(50)
        ctx.log.info("at work")
        if (what === "retry" && ctx.attempt === 1) throw ctx.retry()
        if (what === "hang")
          await new Promise((_, reject) =>
            ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)),
          )
        return "x".repeat(2_000)
      },
    })
    worker.on("task:failed", () => {})
    const task = client.task<string, string>("send-mail")
    const heard: string[] = []
    for (const event of ["active", "progress", "completed", "failed", "retrying", "cancelled"] as const)
      task.on(event, () => heard.push(event))
    await Promise.all([worker.start(), client.listen()])
    const dispatches = [
      task.dispatch("now"),
      task.dispatch("retry"),
      task.dispatch("late", { delay: 20, priority: 3 }),
    ]
    for (const handle of dispatches) expect((await handle.result).length).toBe(2_000)
    await Promise.all(task.dispatchMany([{ data: "a" }, { data: "b" }]).map((handle) => handle.result))
    const hanging = task.dispatch("hang", { jobId: "hanging" })
    await until(async () => (await hanging.getState()) === "active", "it runs")
    expect(await hanging.cancel()).toBe("requested")
    await expect(hanging.result).rejects.toMatchObject({ code: "CANCELLED" })
    await task.dispatch("later", { delay: 60_000 }).cancel()
    const inspect = client.inspect()
    expect(await inspect.stats()).toMatchObject({ completed: 5, cancelled: 2 })
    expect((await inspect.completed())[0]).toMatchObject({ state: "completed" })
    expect(await inspect.workers()).toHaveLength(1)
    await inspect.throughput()
    await until(() => new Set(heard).size === 6, "events of all kinds were heard")
    // A lease is renewed and upkeep turns.
    await new Promise((resolve) => setTimeout(resolve, 1_200))
  }

  async function denied(raw: Redis): Promise<string[]> {
    const log = (await raw.call("ACL", "LOG")) as string[][]
    const words = log.map((entry) => String(entry[entry.indexOf("object") + 1]))
    // What ioredis asks of every connection is none of ours, nor is it needed.
    return words.filter((name) => !/^(client|info|hello|select|ping)/.test(name))
  }

  it("suffice for a worker and for a client", async () => {
    const { prefix } = own()
    await setUser("worker", ...rulesOf("worker", { prefix, password }))
    await setUser("client", ...rulesOf("client", { prefix, password }))
    await admin.call("ACL", "LOG", "RESET")
    await live({
      worker: () => redisAdapter(as("worker"), { prefix }),
      client: () => redisAdapter(as("client"), { prefix }),
    })
    expect(await denied(admin)).toEqual([])
  })

  it("suffice when narrowed to the keys of some tasks, and name the task whose keys are closed", async () => {
    const { prefix } = own()
    const keys = rulesOf("keys", { prefix, password })
    const narrow = (name: "worker" | "client") =>
      setUser(name, ...rulesOf(name, { prefix, password }).filter((rule) => !/^[~&]/.test(rule)), ...keys)
    await narrow("worker")
    await narrow("client")
    await admin.call("ACL", "LOG", "RESET")
    await live({
      worker: () => redisAdapter(as("worker"), { prefix }),
      client: () => redisAdapter(as("client"), { prefix }),
    })
    expect(await denied(admin)).toEqual([])
    const other = app({ adapter: redisAdapter(as("client"), { prefix }) })
    other.task("pay")
    await expect(other.listen()).rejects.toMatchObject({
      code: "PERMISSION",
      missing: [`~${prefix}:taskora:{pay}:*`, "publish"],
    })
  })

  it.each(["work", "call"] as const)(
    "need each of their permissions: %s",
    async (use) => {
      const { prefix } = own()
      const rules = rulesOf(use === "work" ? "worker" : "client", { prefix, password })
      for (const name of sampleCalls({ use }, "k", "c").map(ruleName)) {
        await setUser("short", ...rules.filter((rule) => rule !== `+${name}`))
        const taskora = app({ adapter: redisAdapter(as("short"), { prefix }) })
        taskora.task("send-mail", { ...(use === "work" && { handler: async () => {} }) })
        const missing = name === "eval" ? ["eval", "evalsha"] : [name]
        await expect(use === "work" ? taskora.start() : taskora.listen(), name).rejects.toMatchObject({
          code: "PERMISSION",
          missing,
        })
      }
    },
    60_000,
  )

  it("ask of a client nothing that only workers need, until it begins to work", async () => {
    const { prefix } = own()
    await setUser("client", ...rulesOf("client", { prefix, password }))
    const taskora = app({ adapter: redisAdapter(as("client"), { prefix }) }, true)
    const task = taskora.task("send-mail", async () => {})
    await task.dispatch({})
    await expect(taskora.start()).rejects.toMatchObject({
      code: "PERMISSION",
      missing: expect.arrayContaining(["bzpopmin", "subscribe"]),
    })
  })

  describe("in a cluster", () => {
    let cluster: RedisCluster
    beforeAll(async () => {
      cluster = await startCluster()
    })
    afterAll(() => cluster.stop())

    it("suffice for a worker and for a client, and each permission is needed", async () => {
      const { prefix } = own()
      const everywhere = (user: string, rules: readonly string[]) =>
        Promise.all(cluster.masters.map(({ raw }) => raw.call("ACL", "SETUSER", user, "reset", ...rules)))
      const nodes = (user: string) => cluster.nodes.map((url) => url.replace("//", `//${user}:${password}@`))
      await everywhere("worker", rulesOf("worker cluster", { prefix, password }))
      await everywhere("client", rulesOf("client cluster", { prefix, password }))
      await Promise.all(cluster.masters.map(({ raw }) => raw.call("ACL", "LOG", "RESET")))
      await live({
        worker: () => redisAdapter({ nodes: nodes("worker") }, { prefix }),
        client: () => redisAdapter({ nodes: nodes("client") }, { prefix }),
      })
      for (const { raw } of cluster.masters) expect(await denied(raw)).toEqual([])

      const rules = rulesOf("worker cluster", { prefix, password })
      for (const name of sampleCalls({ use: "work", cluster: true }, "k", "c").map(ruleName)) {
        await everywhere(
          "short",
          rules.filter((rule) => rule !== `+${name}`),
        )
        const taskora = app({ adapter: redisAdapter({ nodes: nodes("short") }, { prefix }) })
        taskora.task("send-mail", async () => {})
        const missing = name === "eval" ? ["eval", "evalsha"] : [name]
        await expect(taskora.start(), name).rejects.toMatchObject({ code: "PERMISSION", missing })
      }
    }, 60_000)
  })
})
