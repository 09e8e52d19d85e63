import { randomBytes } from "node:crypto"
import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { transitionNames } from "../../src/model/observer.ts"
import { redisAdapter } from "../../src/redis.ts"
import { type BuiltCommand, buildCommand, type CommandRun } from "../support/command.ts"
import { type Family, parseExposition, seriesValue } from "../support/exposition.ts"
import { testApps, until } from "../support/hosts.ts"
import { OtlpReceiver } from "../support/otlp-receiver.ts"
import { startProxy } from "../support/proxy.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"

const anyPort = ["--listen", "127.0.0.1:0"]

/** A running exporter, and the port that it told. */
interface Serving {
  readonly run: CommandRun
  readonly url: string
}

describe.skipIf(!redisAvailable())("taskora exporter", () => {
  let taskora: BuiltCommand
  let server: RedisServer
  let admin: Redis
  beforeAll(async () => {
    server = await startRedis()
    admin = new Redis(server.url)
    taskora = await buildCommand()
  }, 60_000)
  afterAll(async () => {
    await taskora.remove()
    admin.disconnect()
    await server.stop()
  })
  const open = testApps()
  const anyPrefix = () => `t${randomBytes(6).toString("hex")}`

  async function serve(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Serving> {
    const run = taskora.start(["exporter", ...anyPort, ...args], env)
    const [, url] = await run.says(/serving (http:\/\/\S+)\/metrics/)
    return { run, url: url! }
  }

  async function families({ url }: Serving): Promise<Map<string, Family>> {
    const response = await fetch(`${url}/metrics`)
    expect(response.status).toBe(200)
    return parseExposition(await response.text(), "text")
  }

  async function stop({ run }: Serving, signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    run.process.kill(signal)
    return run.code()
  }

  test("is exact at rest, also when it was killed half-way, and a second one agrees", async () => {
    const prefix = anyPrefix()
    const cluster = ["--redis", server.url, "--prefix", prefix]
    let exporter = await serve(cluster)
    const other = await serve(cluster)
    const app = open({ adapter: redisAdapter(server.url, { prefix }) })
    app.on("task:failed", () => {})
    const names = ["one", "two", "three"]
    const tasks = names.map((name) =>
      app.task(name, {
        concurrency: 10,
        retry: { attempts: 2, delay: 0 },
        handler: async (n: number) => {
          if (n % 5 === 0) throw new RangeError("every fifth")
        },
      }),
    )
    await app.start()
    const work = (count: number) =>
      Promise.allSettled(
        tasks.flatMap((task) => Array.from({ length: count }, (_, n) => task.dispatch(n).result)),
      )
    await work(50)
    expect((await families(exporter)).has("taskora_cluster_transitions_total")).toBe(true)
    expect(await stop(exporter, "SIGKILL")).toBe(null)
    await work(30)
    exporter = await serve(cluster)
    await tasks[0]!.dispatch(1, { delay: "1h" }).cancel()
    await app.close()

    for (const reader of [exporter, other]) {
      await until(
        async () => seriesValue(await families(reader), "taskora_workers", { prefix }) === 0,
        "no worker lives",
      )
      const read = await families(reader)
      for (const task of names) {
        const stats = await admin.hgetall(`${prefix}:taskora:{${task}}:stats`)
        for (const transition of transitionNames)
          expect(
            seriesValue(read, "taskora_cluster_transitions_total", { task, transition, prefix }),
            `${task} ${transition}`,
          ).toBe(Number(stats[transition] ?? 0))
        expect(Number(stats.started)).toBeGreaterThan(80)
        expect(seriesValue(read, "taskora_task_workers", { task, prefix })).toBe(0)
      }
      expect([...read.values()].filter(({ type }) => type === "histogram")).toEqual([])
      expect(await stop(reader)).toBe(0)
      expect(reader.run.err).toBe("")
    }
  })

  test("needs the token that the environment gives, and takes the URL from it too", async () => {
    const token = "s3cret-token"
    const exporter = await serve([], { TASKORA_METRICS_TOKEN: token, TASKORA_REDIS_URL: server.url })
    const status = async (headers: Record<string, string>, path = "/metrics") =>
      (await fetch(`${exporter.url}${path}`, { headers })).status
    expect(await status({})).toBe(401)
    expect(await status({ authorization: "Bearer wrong" })).toBe(401)
    expect(await status({ authorization: `Bearer ${token}` })).toBe(200)
    expect(await status({}, "/healthz")).toBe(200)
    expect(await status({}, "/other")).toBe(404)
    expect(await stop(exporter, "SIGINT")).toBe(0)
    expect(`${exporter.run.out}${exporter.run.err}`).not.toContain(token)
  })

  test("limits the labels as told", async () => {
    const prefix = anyPrefix()
    const app = open({ adapter: redisAdapter(server.url, { prefix }) })
    await Promise.all(["a", "b", "c"].map((name) => app.task(name).dispatch({})))
    const exporter = await serve(["--redis", server.url, "--prefix", prefix, "--task-limit", "2"])
    const waiting = async (task: string) =>
      seriesValue(await families(exporter), "taskora_queue_jobs", { task, state: "waiting", prefix })
    await until(async () => (await waiting("_OTHER")) === 1, "the third is one of the others")
    expect([await waiting("a"), await waiting("b"), await waiting("c")]).toEqual([1, 1, undefined])
    await stop(exporter)
  })

  test("goes on while Redis is away, from the start on, and ends at SIGTERM all the same", async () => {
    const proxy = await startProxy(server.port)
    proxy.refusing = true
    try {
      const exporter = await serve(["--redis", proxy.url])
      const state = async () => {
        const up = seriesValue(await families(exporter), "taskora_store_up")
        return `${up} ${(await fetch(`${exporter.url}/readyz`)).status}`
      }
      expect(await state()).toBe("0 503")
      await exporter.run.says(/cannot reach Redis at .*; trying again/)
      proxy.refusing = false
      await until(async () => (await state()) === "1 200", "it has found Redis")
      await exporter.run.says(/connected to the store/)
      proxy.refusing = true
      proxy.cut()
      await until(async () => (await state()) === "0 503", "it has lost Redis")
      expect((await fetch(`${exporter.url}/healthz`)).status).toBe(200)
      expect(await stop(exporter)).toBe(0)

      // Before it ever had a connection, too.
      const hopeless = await serve(["--redis", proxy.url])
      expect(await stop(hopeless)).toBe(0)
    } finally {
      await proxy.stop()
    }
  }, 60_000)

  test("exits with 1 where it is refused: password, permission, port", async () => {
    const secret = "hunter2hunter2"
    const withUser = (user: string) => server.url.replace("redis://", `redis://${user}:${secret}@`)
    await admin.call("ACL", "SETUSER", "poor", "reset", "on", `>${secret}`, "+@all", "-zcount", "~*", "&*")
    const taken = await serve(["--redis", server.url])
    const port = new URL(taken.url).port
    const refused: [string[], RegExp][] = [
      [["--redis", withUser("nobody")], /refused the user or password: .*WRONGPASS/],
      [["--redis", withUser("poor")], /may not run zcount.*add to its ACL: \+zcount %R~taskora:\*/],
      [["--redis", `${server.url}/99`], /DB index is out of range/],
      [
        ["--redis", server.url, "--listen", `127.0.0.1:${port}`],
        /exporter: cannot listen on 127\.0\.0\.1:\d+: the port is taken; .*--listen/,
      ],
    ]
    for (const [args, message] of refused) {
      const { code, err } = await taskora.run(["exporter", ...anyPort, ...args])
      expect(err).toMatch(message)
      expect(err).toMatch(/^taskora exporter: /)
      expect(code).toBe(1)
      expect(err).not.toContain(secret)
      expect(err).not.toContain("    at ")
    }
    await stop(taken)
  })

  test("sends the same over OTLP", async () => {
    const prefix = anyPrefix()
    const app = open({ adapter: redisAdapter(server.url, { prefix }) })
    await app.task("mail", { info: { owner: "post" } }).dispatch({})
    const receiver = await OtlpReceiver.start()
    const often = { OTEL_METRIC_EXPORT_INTERVAL: "200" }
    try {
      for (const [args, env] of [
        [["--otlp", receiver.endpoint], often],
        [[], { ...often, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint }],
      ] as const) {
        receiver.metrics.length = 0
        receiver.resources.length = 0
        const exporter = await serve(["--redis", server.url, "--prefix", prefix, ...args], env)
        const names = () => new Set(receiver.metrics.map(({ name }) => name))
        await until(() => names().has("taskora.queue.jobs"), "queue gauges have arrived")
        expect(await stop(exporter)).toBe(0)
        expect([...names()].filter((name) => name.startsWith("taskora")).sort()).toEqual([
          "taskora.build.info",
          "taskora.cluster.transitions",
          "taskora.queue.jobs",
          "taskora.queue.oldest.timestamp",
          "taskora.store.up",
          "taskora.task.info",
          "taskora.task.paused",
          "taskora.task.workers",
          "taskora.workers",
          "taskora.workflow.active",
        ])
        expect(receiver.resources[0]).toMatchObject({ "service.name": "taskora-exporter" })
        expect(receiver.spans).toEqual([])
        expect(exporter.run.err).toBe("")
      }

      // A backend that hangs does not hold the end up.
      receiver.behaviour = "hang"
      const requests = receiver.requests.length
      const stuck = await serve(["--redis", server.url, "--otlp", receiver.endpoint], often)
      await until(() => receiver.requests.length > requests, "an export hangs")
      expect(await stop(stuck)).toBe(0)
      receiver.release()
    } finally {
      await receiver.stop()
    }
  }, 60_000)
})
