import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { Redis } from "ioredis"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import {
  type ClusterExporter,
  type ClusterExporterOptions,
  clusterExporter,
} from "../../exporters/cluster.ts"
import { transitionNames } from "../../src/model/observer.ts"
import { redisAdapter } from "../../src/redis.ts"
import { ruleName, sampleCalls } from "../../src/store/redis/commands.ts"
import { type Family, parseExposition, seriesValue } from "../support/exposition.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { startProxy } from "../support/proxy.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"
import { root } from "../support/repository.ts"
import { openmetrics } from "../support/scrape.ts"

const exporterPage = readFileSync(join(root, "docs/exporter.md"), "utf8")
const running: ClusterExporter[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((exporter) => exporter.close()))
})

function exporting(options: ClusterExporterOptions): ClusterExporter {
  const exporter = clusterExporter({ port: 0, ...options })
  running.push(exporter)
  return exporter
}

async function started(options: ClusterExporterOptions): Promise<ClusterExporter> {
  const exporter = exporting(options)
  await exporter.start()
  return exporter
}

async function families(exporter: ClusterExporter): Promise<Map<string, Family>> {
  const response = await fetch(`http://127.0.0.1:${exporter.port}/metrics`)
  expect(response.status).toBe(200)
  return parseExposition(await response.text(), "text")
}

/** The series of the whole cluster, as `name{labels} value`. */
async function seriesOf(exporter: ClusterExporter): Promise<string[]> {
  return [...(await families(exporter)).values()].flatMap(({ samples }) =>
    samples.map(({ name, labels, value }) => `${name}${JSON.stringify(labels)} ${value}`),
  )
}

/** What was read is kept for a second, so a change may show a second late. */
async function shows(exporter: ClusterExporter, line: RegExp): Promise<void> {
  await until(async () => (await seriesOf(exporter)).some((text) => line.test(text)), `it shows ${line}`)
}

async function ready(exporter: ClusterExporter): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${exporter.port}/readyz`)
  return `${response.status} ${(await response.text()).trim()}`
}

onBothHosts("the exporter of a cluster", (host) => {
  const open = testApps()

  test("shows every task's queue and transitions, and no more than that", async () => {
    const adapter = host.adapter()
    const { prefix } = adapter
    const app = open({ adapter })
    app.on("task:failed", () => {})
    const mail = app.task("mail", {
      info: { owner: "post", runbook: "https://example.com/mail" },
      retry: { attempts: 2, delay: 0 },
      handler: async (fails: boolean, ctx) => {
        if (fails && ctx.attempt === 1) throw new RangeError("not yet")
      },
    })
    const parked = app.task("parked")
    await app.start()
    await Promise.all([true, false, false].map((fails) => mail.dispatch(fails).result))
    await parked.dispatch(1)
    await parked.dispatch(2, { delay: "1h" })
    await parked.dispatch(3, { delay: "1h" }).cancel()

    const exporter = await started({ adapter: host.sibling(adapter) })
    const read = await families(exporter)
    expect([...read.keys()].sort()).toEqual([
      "taskora_build_info",
      "taskora_cluster_transitions_total",
      "taskora_queue_jobs",
      "taskora_queue_oldest_timestamp_seconds",
      "taskora_store_up",
      "taskora_task_info",
      "taskora_task_paused",
      "taskora_task_workers",
      "taskora_workers",
      "taskora_workflow_active",
    ])
    const [, told = ""] = /## What it shows\n\n([^.]+:)/.exec(exporterPage) ?? []
    expect([...told.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort()).toEqual([...read.keys()].sort())
    const other = parseExposition((await exporter.render(openmetrics)).body, "openmetrics")
    const family = (name: string) => name.replace(/_total$/, "")
    expect([...other.keys()].sort()).toEqual([...read.keys()].map(family).sort())
    const value = (name: string, labels: object = {}) => seriesValue(read, name, { ...labels, prefix })
    expect(value("taskora_store_up")).toBe(1)
    // Itself it does not count.
    expect(value("taskora_workers")).toBe(1)
    expect(value("taskora_task_workers", { task: "mail" })).toBe(1)
    expect(value("taskora_task_workers", { task: "parked" })).toBe(0)
    const info = { task: "mail", owner: "post", runbook: "https://example.com/mail" }
    expect(value("taskora_task_info", info)).toBe(1)
    expect(value("taskora_task_info", { task: "parked" })).toBe(1)
    for (const [state, jobs] of Object.entries({ waiting: 1, delayed: 1, active: 0 }))
      expect(value("taskora_queue_jobs", { task: "parked", state })).toBe(jobs)
    expect(value("taskora_queue_oldest_timestamp_seconds", { task: "parked" })).toBeGreaterThan(1e9)
    expect(value("taskora_queue_oldest_timestamp_seconds", { task: "mail" })).toBe(0)
    for (const task of ["mail", "parked"]) {
      const { transitions } = await app.inspect().stats({ task })
      for (const transition of transitionNames)
        expect(
          value("taskora_cluster_transitions_total", { task, transition }),
          `${task} ${transition}`,
        ).toBe(transitions[transition])
    }
    expect((await app.inspect().stats({ task: "mail" })).transitions).toMatchObject({
      started: 4,
      completed: 3,
      retried: 1,
    })
    expect((await app.inspect().tasks()).map(({ name }) => name)).toEqual(["mail", "parked"])
    expect(await app.inspect().workers()).toHaveLength(1)
  })

  test("goes on where it ended when it is started anew, agrees with another, and needs no worker", async () => {
    const adapter = host.adapter()
    const app = open({ adapter })
    const task = app.task("t", async () => {})
    await app.start()
    const first = await started({ adapter: host.sibling(adapter) })
    await Promise.all([1, 2, 3].map((n) => task.dispatch(n).result))
    await shows(first, /transitions_total.*"completed".* 3$/)
    await first.close()
    await Promise.all([1, 2].map((n) => task.dispatch(n).result))
    await app.close()

    const [second, third] = [
      await started({ adapter: host.sibling(adapter) }),
      await started({ adapter: host.sibling(adapter) }),
    ]
    await shows(second, /transitions_total.*"completed".* 5$/)
    await shows(second, /taskora_workers.* 0$/)
    await shows(third, /taskora_workers.* 0$/)
    expect(await seriesOf(third)).toEqual(await seriesOf(second))
    expect((await seriesOf(second)).filter((text) => text.startsWith("taskora_queue_jobs"))).toHaveLength(4)
  })

  test("can be mounted in a server of one's own", async () => {
    const exporter = await started({ adapter: host.adapter(), port: false, path: "/cluster" })
    expect(exporter.port).toBeUndefined()
    const server = createServer(exporter.handler).listen(0, "127.0.0.1")
    await once(server, "listening")
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      expect(await (await fetch(`${url}/cluster`)).text()).toMatch(/^taskora_workers\{.*\} 0$/m)
      expect((await fetch(`${url}/metrics`)).status).toBe(404)
      expect((await fetch(`${url}/readyz`)).status).toBe(200)
      await exporter.close()
      expect((await fetch(`${url}/readyz`)).status).toBe(503)
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })

  test("picks up a task that appears later", async () => {
    const adapter = host.adapter()
    const exporter = await started({ adapter: host.sibling(adapter) })
    await shows(exporter, /taskora_workers.* 0$/)
    expect(await seriesOf(exporter)).not.toContainEqual(expect.stringContaining("task_info"))
    const app = open({ adapter })
    await app.task("late").dispatch({})
    await shows(exporter, /taskora_queue_jobs.*"late".*"waiting".* 1$/)
  })

  test("labels the first 300 tasks by name, whoever came first, and adds up the others", async () => {
    const adapter = host.adapter()
    const exporter = await started({ adapter: host.sibling(adapter) })
    // Those that come last in the alphabet come first in time.
    for (const [from, to] of [
      [160, 320],
      [0, 160],
    ] as const) {
      const app = open({ adapter })
      const names = Array.from({ length: to - from }, (_, i) => `task-${String(from + i).padStart(3, "0")}`)
      await Promise.all(names.map((name) => app.task(name).dispatch({})))
      await shows(exporter, new RegExp(`taskora_queue_jobs.*"task-${String(from).padStart(3, "0")}"`))
      await app.close()
    }
    await shows(exporter, /taskora_queue_jobs.*"_OTHER".*"waiting".* 20$/)
    const series = await seriesOf(exporter)
    const labelled = series.filter((text) => /taskora_queue_jobs.*"waiting"/.test(text))
    expect(labelled).toHaveLength(301)
    expect(labelled.some((text) => text.includes("task-299"))).toBe(true)
    expect(labelled.some((text) => text.includes("task-300"))).toBe(false)
    expect(series).toContainEqual(expect.stringMatching(/transitions_total.*"_OTHER".*"dispatched".* 20$/))
    expect(series.filter((text) => text.startsWith("taskora_task_info"))).toHaveLength(300)
    const another = await started({ adapter: host.sibling(adapter) })
    expect((await seriesOf(another)).sort()).toEqual(series.sort())
    const narrow = await started({ adapter: host.sibling(adapter), taskLimit: 10 })
    expect((await seriesOf(narrow)).filter((text) => text.startsWith("taskora_queue_old"))).toHaveLength(11)
  })
})

describe("its options", () => {
  test.each([
    [{}, /adapter is required/],
    [{ adapter: "redis://localhost" }, /adapter is required/],
    [{ adapter: redisAdapter("redis://localhost"), prot: 1 }, /no option "prot"; did you mean "port"/],
    [{ adapter: redisAdapter("redis://localhost"), port: 70_000 }, /port/],
    [{ adapter: redisAdapter("redis://localhost"), observers: [1] }, /observers must be a list/],
    [{ adapter: redisAdapter("redis://localhost"), report: 1 }, /report must be a function/],
  ])("%j are refused", (options, message) => {
    expect(() => clusterExporter(options as never)).toThrow(message)
  })
})

describe.skipIf(!redisAvailable())("Redis and its exporter", () => {
  let server: RedisServer
  let admin: Redis
  beforeAll(async () => {
    server = await startRedis()
    admin = new Redis(server.url)
  })
  afterAll(async () => {
    admin.disconnect()
    await server.stop()
  })
  const open = testApps()

  const secret = "hunter2hunter2"
  const anyPrefix = () => `t${randomBytes(6).toString("hex")}`
  const asUser = (user: string) => server.url.replace("redis://", `redis://${user}:${secret}@`)

  test("down at its start, then up, down and up again", async () => {
    const heard: string[] = []
    const prefix = anyPrefix()
    const app = open({ adapter: redisAdapter(server.url, { prefix }) })
    await app.task("t").dispatch({})
    const proxy = await startProxy(server.port)
    proxy.refusing = true
    const adapter = redisAdapter(proxy.url, { prefix })
    const exporter = exporting({ adapter, report: (message) => heard.push(message) })
    try {
      const found = exporter.start()
      await until(() => exporter.port !== undefined, "the endpoint is open")
      expect(await seriesOf(exporter)).toEqual([
        expect.stringContaining("taskora_store_up"),
        expect.stringContaining("taskora_build_info"),
      ])
      await shows(exporter, /store_up.* 0$/)
      expect(await ready(exporter)).toBe("503 not connected to the store")
      await until(() => heard.length > 0, "it says so")
      expect(heard).toEqual([expect.stringMatching(/^cannot reach Redis at .*; trying again$/)])

      proxy.refusing = false
      await found
      expect(heard).toHaveLength(2)
      await shows(exporter, /taskora_queue_jobs.*"waiting".* 1$/)
      expect(await ready(exporter)).toBe("200 ready")

      // A server that hangs: the scrape is answered, without numbers that are old.
      for (const direction of ["requests", "replies"] as const) proxy.swallowed.add(direction)
      await shows(exporter, /store_up.* 0$/)
      expect((await seriesOf(exporter)).some((text) => text.includes("queue"))).toBe(false)
      proxy.refusing = true
      proxy.swallowed.clear()
      proxy.cut()
      await until(async () => (await ready(exporter)).startsWith("503"), "it knows that Redis is gone")
      proxy.refusing = false
      await shows(exporter, /taskora_queue_jobs.*"waiting".* 1$/)
      expect(await ready(exporter)).toBe("200 ready")
    } finally {
      await exporter.close()
      await proxy.stop()
    }
  }, 60_000)

  test("works for a user who may only read, as documented, and writes nothing", async () => {
    const prefix = anyPrefix()
    const app = open({ adapter: redisAdapter(server.url, { prefix }) })
    await app.task("t").dispatch({})
    await app.task("ranked").dispatch({}, { priority: 3 })
    await app.task("later").dispatch({}, { delay: 1 })
    const [, words] = /^ACL SETUSER taskora-exporter (.+)$/m.exec(exporterPage) ?? []
    const rules = words!.replace("shop:", `${prefix}:`).replace(/>\S+/, `>${secret}`)
    await admin.call("ACL", "SETUSER", "watcher", "reset", ...rules.split(" "))
    await admin.call("ACL", "LOG", "RESET")
    const before = (await admin.keys(`${prefix}*`)).sort()
    const exporter = await started({ adapter: redisAdapter(asUser("watcher"), { prefix }) })
    await shows(exporter, /taskora_queue_jobs.*"ranked".*"waiting".* 1$/)
    await shows(exporter, /taskora_queue_jobs.*"later".*"waiting".* 1$/)
    expect((await admin.keys(`${prefix}*`)).sort()).toEqual(before)
    const denied = (await admin.call("ACL", "LOG")) as string[][]
    // What ioredis asks of every connection is none of ours, nor is it needed.
    const ours = denied
      .map((entry) => entry[entry.indexOf("object") + 1])
      .filter((name) => !/^(client|info)/.test(name!))
    expect(ours).toEqual([])
  })

  test("needs each of these permissions", async () => {
    const names = sampleCalls({ use: "read" }, "k", "c").map(ruleName)
    for (const name of names) {
      await admin.call("ACL", "SETUSER", "short", "reset", "on", `>${secret}`, "%R~*", "+@all", `-${name}`)
      const exporter = exporting({ adapter: redisAdapter(asUser("short"), { prefix: anyPrefix() }) })
      const missing = name === "eval_ro" ? ["eval_ro", "evalsha_ro"] : [name]
      await expect(exporter.start(), name).rejects.toMatchObject({ code: "PERMISSION", missing })
    }
  })

  test("reads a replica", async () => {
    const prefix = anyPrefix()
    const app = open({ adapter: redisAdapter(server.url, { prefix }) })
    await app.task("t").dispatch({})
    const replica = await startRedis({ args: ["--replicaof", "127.0.0.1", String(server.port)] })
    try {
      const exporter = await started({ adapter: redisAdapter(replica.url, { prefix }), report: () => {} })
      await shows(exporter, /taskora_queue_jobs.*"waiting".* 1$/)
      await exporter.close()
    } finally {
      await replica.stop()
    }
  })

  test("keeps what is damaged apart from what is not", async () => {
    const prefix = anyPrefix()
    const app = open({ adapter: redisAdapter(server.url, { prefix }) })
    for (const name of ["well", "sick", "odd"]) await app.task(name).dispatch({})
    await admin.del(`${prefix}:taskora:{sick}:waiting`)
    await admin.set(`${prefix}:taskora:{sick}:waiting`, "not a list")
    await admin.hset(`${prefix}:taskora:tasks`, { odd: '{"owner":5,"runbook":', worse: "null" })
    await admin.zadd(`${prefix}:taskora:workers`, Date.now() + 60_000, "stranger")
    await admin.hset(`${prefix}:taskora:worker-info`, "stranger", '{"tasks":"well"}')
    const exporter = await started({ adapter: redisAdapter(server.url, { prefix }) })
    await shows(exporter, /store_up.* 1$/)
    for (const task of ["well", "odd"])
      await shows(exporter, new RegExp(`taskora_queue_jobs.*"${task}".*"waiting".* 1$`))
    const series = await seriesOf(exporter)
    expect(series.filter((line) => line.includes('"sick"'))).toEqual([])
    expect(series).toContainEqual(expect.stringMatching(/taskora_workers.* 1$/))
    expect(series).toContainEqual(expect.stringMatching(/taskora_task_workers.*"well".* 0$/))
    await admin.hdel(`${prefix}:taskora:tasks`, "well", "odd", "worse")
    await shows(exporter, /store_up.* 0$/)
  })

  test("says which permission is missing, and gives up", async () => {
    const prefix = anyPrefix()
    await admin.call(
      "ACL",
      "SETUSER",
      "short",
      "reset",
      "on",
      `>${secret}`,
      "+@read",
      "+eval_ro",
      "+evalsha_ro",
      "~*",
    )
    const exporter = exporting({ adapter: redisAdapter(asUser("short"), { prefix }) })
    await expect(exporter.start()).rejects.toMatchObject({ code: "PERMISSION", missing: ["time"] })
    expect(exporter.port).toBeUndefined()
    await admin.call("ACL", "SETUSER", "elsewhere", "reset", "on", `>${secret}`, "+@all", "%R~shop:*")
    const elsewhere = exporting({ adapter: redisAdapter(asUser("elsewhere"), { prefix }) })
    await expect(elsewhere.start()).rejects.toMatchObject({
      code: "PERMISSION",
      missing: [`%R~${prefix}:taskora:*`],
    })
  })

  test("gives up on a wrong password, another wire version, and a port that is taken", async () => {
    const prefix = anyPrefix()
    const wrong = exporting({ adapter: redisAdapter(asUser("nobody"), { prefix }) })
    await expect(wrong.start()).rejects.toMatchObject({ code: "CONNECTION", refused: true })
    await admin.hset(`${prefix}:taskora:meta`, "wire", "99")
    const newer = exporting({ adapter: redisAdapter(server.url, { prefix }) })
    await expect(newer.start()).rejects.toThrow(/wire version 99/)
    await admin.del(`${prefix}:taskora:meta`)
    const right = await started({ adapter: redisAdapter(server.url, { prefix }) })
    const second = exporting({ adapter: redisAdapter(server.url, { prefix }), port: right.port! })
    await expect(second.start()).rejects.toThrow(/port is taken/)
  })

  test("can be closed while it waits for Redis", async () => {
    const heard: string[] = []
    const adapter = redisAdapter("redis://127.0.0.1:1")
    const exporter = exporting({ adapter, report: (message) => heard.push(message) })
    const start = exporter.start()
    const failed = expect(start).rejects.toMatchObject({ code: "CLOSED" })
    await until(() => heard.length > 0, "it has tried once")
    await exporter.close()
    await failed
  })
})
