import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { parse, stringify } from "yaml"
import { until } from "../support/hosts.ts"
import { OtlpReceiver } from "../support/otlp-receiver.ts"
import { findProgram } from "../support/prometheus-server.ts"
import { redisAvailable, sharedRedis } from "../support/redis-server.ts"
import { buildImage, layOut, service } from "./compose.ts"

const here = findProgram(["prometheus"], "--version") !== undefined && redisAvailable()
const patience = 60_000

/** A service's own command, where its names of hosts and its ports are replaced by those of this machine. */
class Running {
  output = ""
  readonly process: ChildProcess

  constructor(program: string, args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }) {
    this.process = spawn(program, args, { ...options, env: { ...process.env, ...options.env } })
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString()
      })
  }

  async says(pattern: RegExp): Promise<string> {
    await until(() => pattern.test(this.output) || this.process.exitCode !== null, `${pattern}`, patience)
    const [, found] = pattern.exec(this.output) ?? []
    if (found === undefined) throw new Error(`it did not say ${pattern}:\n${this.output}`)
    return found
  }

  async stop(): Promise<number | null> {
    if (this.process.exitCode === null) {
      const exit = once(this.process, "exit")
      this.process.kill("SIGTERM")
      await exit
    }
    return this.process.exitCode
  }
}

describe.skipIf(!here)("what compose.yaml starts, started without containers", () => {
  // Away from the repository: what the image has not got is not to be found above it.
  const place = mkdtempSync(join(tmpdir(), "taskora-stack-"))
  const image = join(place, "image")
  const running: Running[] = []
  let redis: Awaited<ReturnType<typeof sharedRedis>>
  let jaeger: OtlpReceiver
  let ports: string[]
  let url: string
  let prometheus: Running

  function start(name: string): Running {
    const { command = [], environment = {} } = service(name)
    const args = command.map((word) =>
      word
        .replace("redis://redis:6379", redis.url)
        .replace(/^--port=\d+$/, "--port=0")
        .replace(/^--max-files=\d+$/, "--max-files=100"),
    )
    const env = Object.fromEntries(
      Object.entries(environment).map(([key, value]) => [
        key,
        value.replace("http://jaeger:4318", jaeger.endpoint),
      ]),
    )
    const started = new Running(process.execPath, args, { cwd: image, env })
    running.push(started)
    return started
  }

  async function ask<T>(path: string): Promise<T> {
    const answer = (await (await fetch(`${url}/api/v1/${path}`)).json()) as { data: T }
    return answer.data
  }

  beforeAll(async () => {
    mkdirSync(image)
    buildImage(image)
    redis = await sharedRedis()
    jaeger = await OtlpReceiver.start()
    const apps = [start("worker"), start("worker"), start("files")]
    ports = await Promise.all(apps.map((app) => app.says(/metrics +http:\/\/127\.0\.0\.1:(\d+)\/metrics/)))

    layOut("prometheus", place)
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    const config = join(place, "etc/prometheus/prometheus.yml")
    const { scrape_configs, ...rest } = parse(readFileSync(config, "utf8"))
    const targets = ports.map((one) => `127.0.0.1:${one}`)
    const [{ dns_sd_configs: _, ...scrape }] = scrape_configs
    const hurried = { scrape_interval: "1s", evaluation_interval: "1s" }
    writeFileSync(
      config,
      stringify({
        ...rest,
        global: hurried,
        scrape_configs: [{ ...scrape, static_configs: [{ targets }] }],
      }),
    )
    const args = (service("prometheus").command ?? []).map((word) => word.replace("=/", `=${place}/`))
    prometheus = new Running("prometheus", [...args, `--web.listen-address=127.0.0.1:${port}`], {
      cwd: place,
    })
    running.push(prometheus)
    await until(
      async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok === true,
      "Prometheus is ready",
      patience,
    )
  }, 180_000)

  afterAll(async () => {
    await Promise.all(running.map((one) => one.stop()))
    await jaeger?.stop()
    await redis?.stop()
    rmSync(place, { recursive: true, force: true })
  }, 60_000)

  test("all three processes are scraped", { timeout: patience }, async () => {
    type Targets = { activeTargets: { health: string; labels: { job: string; instance: string } }[] }
    await until(
      async () => {
        const { activeTargets } = await ask<Targets>("targets?state=active")
        return activeTargets.length === 3 && activeTargets.every(({ health }) => health === "up")
      },
      "all targets are up",
      patience,
    )
    const workers = "query?query=min(taskora_workers)"
    await until(
      async () => {
        const { result } = await ask<{ result: { value: [number, string] }[] }>(workers)
        return result[0]?.value[1] === "3"
      },
      "each sees three workers",
      patience,
    )
  })

  test("all rules are loaded and evaluated", { timeout: patience }, async () => {
    type Groups = { groups: { name: string; rules: { name: string; health: string }[] }[] }
    await until(
      async () => {
        const { groups } = await ask<Groups>("rules")
        const rules = groups.flatMap((group) => group.rules)
        return groups.length === 2 && rules.length > 20 && rules.every(({ health }) => health === "ok")
      },
      "all rules are healthy",
      patience,
    )
  })

  test("exemplars are kept whose traces were sent, of each service", { timeout: patience }, async () => {
    type Exemplars = { exemplars: { labels: Record<string, string> }[] }[]
    const path = () => {
      const now = Date.now() / 1000
      return `query_exemplars?query=taskora_job_duration_seconds_bucket&start=${now - 600}&end=${now + 60}`
    }
    await until(
      async () => {
        const ids = (await ask<Exemplars>(path())).flatMap(({ exemplars }) =>
          exemplars.map(({ labels }) => labels.trace_id),
        )
        const sent = new Set(jaeger.spans.map(({ traceId }) => traceId))
        return ids.filter((id) => id !== undefined && sent.has(id)).length > 3
      },
      "exemplars and traces meet",
      patience,
    )
    const services = new Set(jaeger.resources.map((resource) => resource["service.name"]))
    expect([...services].sort()).toEqual(["files", "worker"])
    expect(new Set(jaeger.requests.map((request) => request.path))).toEqual(new Set(["/v1/traces"]))
  })

  test("the program walks again, and nobody complains", { timeout: patience }, async () => {
    const [, , files] = running
    await until(() => (files?.output.match(/found \d+ files/g)?.length ?? 0) > 1, "it walked twice", patience)
    for (const app of running.slice(0, 3)) expect(app.output).not.toMatch(/telemetry:|error {2}/)
  })

  test("each ends in order when it is told to", { timeout: patience }, async () => {
    expect(await Promise.all(running.slice(0, 3).map((app) => app.stop()))).toEqual([0, 0, 143])
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}
