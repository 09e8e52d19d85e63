import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { parse } from "yaml"
import { instruments, prometheusName } from "../../exporters/catalogue.ts"
import { attributeMeanings } from "../../exporters/opentelemetry/conventions.ts"
import { findProgram } from "../support/prometheus-server.ts"
import { root } from "../support/repository.ts"
import { compose, layOut, mounts, service, steps, text } from "./compose.ts"
import { dashboards } from "./dashboards.ts"

interface DataSource {
  readonly name: string
  readonly uid: string
  readonly type: string
  readonly access: string
  readonly url: string
  readonly isDefault?: boolean
  readonly jsonData: {
    readonly timeInterval?: string
    readonly exemplarTraceIdDestinations?: readonly {
      readonly name: string
      readonly datasourceUid: string
    }[]
    readonly tracesToMetrics?: {
      readonly datasourceUid: string
      readonly tags: readonly { readonly key: string; readonly value: string }[]
      readonly queries: readonly { readonly name: string; readonly query: string }[]
    }
  }
}

const services = Object.entries(compose.services)
const { datasources } = parse(text("grafana/datasources.yml")) as { datasources: DataSource[] }
const [prometheus, jaeger] = ["prometheus", "jaeger"].map((type) => {
  const found = datasources.find((source) => source.type === type)
  if (found === undefined) throw new Error(`no data source of type ${type}`)
  return found
}) as [DataSource, DataSource]
const scrape = parse(text("prometheus.yml")) as {
  readonly global: { readonly scrape_interval: string }
  readonly rule_files: readonly string[]
  readonly scrape_configs: readonly {
    readonly job_name: string
    readonly dns_sd_configs: readonly { readonly names: readonly string[]; readonly port: number }[]
  }[]
}
const apps = services.filter(([, { build }]) => build !== undefined).map(([name]) => name)

function option(name: string, flag: string): string | undefined {
  const word = service(name).command?.find((one) => one.startsWith(`--${flag}=`))
  return word?.slice(flag.length + 3)
}

/** What of the formats is used here, each key by name; a misspelt one would go unnoticed until somebody starts it. */
const known = {
  service: /^(image|build|init|command|environment|ports|volumes|depends_on|deploy|healthcheck)$/,
  build: /^(context|dockerfile)$/,
  healthcheck: /^(test|interval|timeout|retries)$/,
  deploy: /^replicas$/,
  source: /^(name|uid|type|access|url|isDefault|jsonData)$/,
  prometheus: /^(timeInterval|httpMethod|exemplarTraceIdDestinations)$/,
  destination: /^(name|datasourceUid|urlDisplayLabel)$/,
  jaeger: /^tracesToMetrics$/,
  metrics: /^(datasourceUid|spanStartTimeShift|spanEndTimeShift|tags|queries)$/,
  provider: /^(name|folder|type|disableDeletion|allowUiUpdates|options)$/,
}

function expectKeys(what: keyof typeof known, value: object | undefined): void {
  expect(Object.keys(value ?? {}).filter((key) => !known[what].test(key))).toEqual([])
}

test("compose.yaml says no more than is known here, and each service is built or has an image", () => {
  expect(Object.keys(compose).filter((key) => !key.startsWith("x-"))).toEqual(["name", "services", "volumes"])
  expect(Object.keys(compose.services).sort()).toEqual(
    ["files", "grafana", "jaeger", "prometheus", "redis", "worker"].sort(),
  )
  for (const [, one] of services) {
    expectKeys("service", one)
    for (const part of ["build", "healthcheck", "deploy"] as const)
      expectKeys(part, (one as Record<string, object | undefined>)[part])
    expect([one.build, one.image].filter((from) => from !== undefined)).toHaveLength(1)
    const waitsFor = Object.keys(one.depends_on ?? {})
    expect(waitsFor.filter((name) => !("healthcheck" in service(name)))).toEqual([])
  }
  expect(service("worker").deploy?.replicas).toBe(2)
})

test("every image is pinned to a version", () => {
  const base = steps.filter(({ word }) => word === "FROM").map(({ rest }) => rest[0])
  const images = services.flatMap(([, { image }]) => image ?? [])
  expect(base).toHaveLength(1)
  expect(images).toHaveLength(4)
  for (const image of [...base, ...images]) expect(image).toMatch(/^[\w/]+:v?\d+\.\d+\.\d+(-slim)?$/)
})

test("everything mounted exists, and nothing can write to it", () => {
  for (const [, one] of services)
    for (const { from, named } of mounts(one))
      expect(named ? from in compose.volumes : existsSync(from), from).toBe(true)
  const own = services.flatMap(([, { volumes = [] }]) => volumes.filter((volume) => volume.startsWith(".")))
  expect(own.length).toBeGreaterThan(4)
  expect(own.filter((volume) => !volume.endsWith(":ro"))).toEqual([])
})

test("what is built comes from files that exist, and runs what the example's scripts run", () => {
  const copied = steps.filter(({ word }) => word === "COPY").flatMap(({ rest }) => rest.slice(0, -1))
  expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([])
  for (const name of apps) {
    const { build, command = [] } = service(name)
    expect(existsSync(join(root, "dashboards/compose", build!.context, build!.dockerfile))).toBe(true)
    const source = command[0]?.replace(/^dist\//, "").replace(/\.js$/, ".ts")
    expect(existsSync(join(root, source ?? "none"))).toBe(true)
  }
})

test("Prometheus scrapes each app at the port and address where it listens", () => {
  const [config] = scrape.scrape_configs
  const [dns] = config!.dns_sd_configs
  expect(dns!.names.toSorted()).toEqual(apps.toSorted())
  for (const name of apps) {
    expect(option(name, "port")).toBe(`${dns!.port}`)
    expect(option(name, "host")).toBe("0.0.0.0")
  }
  expect(service("prometheus").command).toContain("--enable-feature=exemplar-storage")
  expect(prometheus.jsonData.timeInterval).toBe(scrape.global.scrape_interval)
})

test("every URL leads to a service and a port of its own, or to a published one", () => {
  const ports: Readonly<Record<string, readonly string[]>> = {
    redis: ["6379"],
    prometheus: ["9090"],
    jaeger: ["4318", "16686"],
  }
  const published = services.flatMap(([, one]) => one.ports ?? [])
  expect(published.toSorted()).toEqual([
    "127.0.0.1:16686:16686",
    "127.0.0.1:3000:3000",
    "127.0.0.1:9090:9090",
  ])
  const files = ["compose.yaml", "grafana/datasources.yml", "jaeger-ui.json", "README.md"]
  const urls = files.flatMap((file) => [...text(file).matchAll(/(?:https?|redis):\/\/([\w.]+):(\d+)/g)])
  expect(urls.length).toBeGreaterThan(7)
  for (const [url, host = "", port = ""] of urls) {
    const known = host === "localhost" ? published.map((one) => one.split(":")[1]) : ports[host]
    expect(known, url).toContain(port)
  }
  expect(service("jaeger").command).toContain("--set=receivers.otlp.protocols.http.endpoint=0.0.0.0:4318")
})

test("the traces go to Jaeger, and nothing that it does not take", () => {
  for (const name of apps)
    expect(service(name).environment).toEqual({
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://jaeger:4318",
      OTEL_METRICS_EXPORTER: "none",
      OTEL_LOGS_EXPORTER: "none",
      OTEL_SERVICE_NAME: name,
    })
})

test("an exemplar leads to its trace, and a span to its task's metrics", () => {
  const uids = datasources.map(({ uid }) => uid)
  expect(new Set(uids).size).toBe(2)
  for (const source of datasources) {
    expectKeys("source", source)
    expect(source.uid).toMatch(/^taskora-\w+$/)
    expect(source.access).toBe("proxy")
  }
  expectKeys("prometheus", prometheus.jsonData)
  expect(prometheus.isDefault).toBe(true)
  const [destination] = prometheus.jsonData.exemplarTraceIdDestinations ?? []
  expectKeys("destination", destination)
  expect(destination).toMatchObject({ name: "trace_id", datasourceUid: jaeger.uid })
  expectKeys("jaeger", jaeger.jsonData)
  const { tracesToMetrics } = jaeger.jsonData
  expectKeys("metrics", tracesToMetrics)
  expect(tracesToMetrics?.datasourceUid).toBe(prometheus.uid)
  expect(tracesToMetrics?.tags).toEqual([{ key: "messaging.destination.name", value: "task" }])
  expect(Object.keys(attributeMeanings)).toContain("messaging.destination.name")
  const names = new Set(
    instruments.flatMap((i) => ["", "_bucket"].map((part) => `${prometheusName(i)}${part}`)),
  )
  expect(tracesToMetrics?.queries).toHaveLength(3)
  for (const { query } of tracesToMetrics?.queries ?? []) {
    const [, name, tags] = /(taskora_\w+)\{([^}]*)\}/.exec(query) ?? []
    expect(names).toContain(name)
    expect(tags).toBe("$$__tags")
  }
})

test("Grafana finds the dashboards where they are mounted, and begins with one", () => {
  const { providers } = parse(text("grafana/dashboards.yml")) as {
    providers: { options: { path: string } }[]
  }
  expect(providers).toHaveLength(1)
  expectKeys("provider", providers[0])
  const mount = mounts(service("grafana")).find(({ from }) => from === join(root, "dashboards/grafana"))
  expect(mount?.to).toBe(providers[0]?.options.path)
  const home = service("grafana").environment?.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH
  expect(readdirSync(mount!.from)).toContain(home?.slice(mount!.to.length + 1))
  const targets = mounts(service("grafana")).map(({ to }) => to)
  for (const kind of ["datasources", "dashboards"])
    expect(targets).toContain(`/etc/grafana/provisioning/${kind}/taskora.yml`)
})

test("Jaeger's own link opens a dashboard that exists, on the span's task", () => {
  const { linkPatterns } = JSON.parse(text("jaeger-ui.json")) as {
    linkPatterns: { type: string; key: string; url: string; text: string }[]
  }
  const [{ type, key, url } = expect.fail("no link")] = linkPatterns
  expect({ type, key }).toEqual({ type: "tags", key: "messaging.destination.name" })
  const [, uid, variable, value] = /\/d\/([\w-]+)\?var-(\w+)=#\{([\w.]+)\}$/.exec(url) ?? []
  expect(value).toBe(key)
  const board = dashboards.find(({ json }) => json.uid === uid)
  expect(board?.json.templating?.list?.map(({ name }) => name)).toContain(variable)
  const [mount] = mounts(service("jaeger"))
  expect(service("jaeger").command).toContain(`--set=extensions.jaeger_query.ui.config_file=${mount?.to}`)
})

const promtool = findProgram(["promtool"], "--version")

test.skipIf(!promtool)("promtool finds nothing wrong with Prometheus' configuration and its rules", () => {
  const below = mkdtempSync(join(tmpdir(), "taskora-compose-"))
  layOut("prometheus", below)
  const config = service("prometheus").command?.find((word) => word.startsWith("--config.file="))
  const path = join(below, config!.split("=")[1]!)
  const { status, stdout, stderr } = spawnSync(promtool!, ["check", "config", path], { encoding: "utf8" })
  rmSync(below, { recursive: true })
  expect(status, `${stdout}${stderr}`).toBe(0)
  expect(stdout).toContain("SUCCESS: 2 rule files found")
})
