import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { manifest, run, stagePackage, workDirectory } from "../support/package.ts"
import { root } from "../support/repository.ts"

/** The SDK's 3.x line wants Node.js 22.15 or later; the suite itself may run on an older one. */
const node = "node@24.21.0"
const fixture = join(root, "test/fixtures/otel-sdk-3")
const stage = workDirectory("sdk-3")
// Far from this repository: its own packages, of the 2.x line, must not be found from there.
const project = mkdtempSync(join(tmpdir(), "taskora-sdk-3-"))
let unreachable: string | undefined

interface Told {
  readonly spans: readonly {
    readonly name: string
    readonly kind: string
    readonly trace: number
    readonly parent?: string
    readonly links: readonly string[]
    readonly status: string
    readonly events: readonly string[]
    readonly attributes: Readonly<Record<string, unknown>>
    readonly scope: string
  }[]
  readonly metrics: Readonly<
    Record<
      string,
      readonly { readonly attributes: Readonly<Record<string, string>>; readonly value: number }[]
    >
  >
  readonly logs: readonly { readonly body: string; readonly span: string }[]
  readonly versions: { readonly node: string }
}

beforeAll(() => {
  cpSync(fixture, project, { recursive: true })
  stagePackage(stage.path)
  run("npm", ["pack", "--ignore-scripts", "--silent"], { cwd: stage.path })
  const tarball = join(stage.path, `taskora-${manifest.version}.tgz`)
  const quietly = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
  try {
    run("npm", ["ci", ...quietly], { cwd: project })
    // As a user installs it: the ranges of the package's peers are held against the packages that are there.
    run("npm", ["install", "--no-save", ...quietly, tarball], { cwd: project })
    run("npx", ["-y", "-p", node, "node", "--version"], { cwd: project })
  } catch (error) {
    const noNetwork = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b/
    if (process.env.CI || !noNetwork.test(String(error))) throw error
    unreachable = "the npm registry cannot be reached"
  }
}, 300_000)
afterAll(() => {
  stage.remove()
  rmSync(project, { recursive: true, force: true })
})

function versionOf(name: string): string {
  return JSON.parse(readFileSync(join(project, "node_modules", name, "package.json"), "utf8")).version
}

function work(order: string, how: string): Told {
  return JSON.parse(
    run("npx", ["-y", "-p", node, "node", "program.mjs", order, how], { cwd: project }),
  ) as Told
}

describe("an SDK of the 3.x line", () => {
  test("is what the project has, once each, beside the packed package", (context) => {
    if (unreachable) context.skip(unreachable)
    expect(versionOf("@opentelemetry/api")).toBe("1.10.0")
    expect(versionOf("taskora")).toBe(manifest.version)
    for (const name of ["sdk-trace", "sdk-metrics", "core", "resources"])
      expect(versionOf(`@opentelemetry/${name}`), name).toMatch(/^3\./)
    const all = readdirSync(join(project, "node_modules"), { encoding: "utf8", recursive: true })
    const second = /node_modules\/@opentelemetry\/(api|core|resources|sdk-[a-z]+)\/package\.json$/
    expect(all.length).toBeGreaterThan(1000)
    expect(all.filter((path) => second.test(path))).toEqual([])
    expect(all.filter((path) => path.includes("sdk-trace-node"))).toEqual([])
  })

  test.for([
    ["sdk first", "recorded"],
    ["app first", "recorded"],
    ["app first", "fetched"],
  ] as const)(
    "is told of spans, metrics, relations and logs: %s, metrics are %s",
    { timeout: 120_000 },
    ([order, how], context) => {
      if (unreachable) context.skip(unreachable)
      const { spans, metrics, logs, versions } = work(order, how)
      expect(versions.node).toMatch(/^24\./)

      const line = (span: Told["spans"][number]) => {
        const status = span.status === "UNSET" ? "" : ` ${span.status} ${span.attributes["error.type"]}`
        const events = span.events.length === 0 ? "" : ` [${span.events.join(", ")}]`
        const links = span.links.map((link) => ` ~> ${link}`).join("")
        return `${span.trace} ${span.parent ?? "-"} > ${span.name} ${span.kind}${status}${events}${links}`
      }
      const jobs = spans.filter(({ name }) => !name.startsWith("worker "))
      expect(jobs.map(line).sort()).toEqual([
        "1 - > request INTERNAL",
        "1 process mail > lookup INTERNAL",
        "1 process mail > lookup INTERNAL",
        "1 request > send apart PRODUCER",
        "1 request > send mail PRODUCER",
        "1 send mail > process mail CONSUMER ERROR RangeError [exception, retry scheduled] ~> send mail",
        "1 send mail > process mail CONSUMER ~> send mail ~> process mail",
        "2 - > process apart CONSUMER ~> send apart",
      ])
      expect(spans.filter(({ name }) => name.startsWith("worker ")).map(line)).toEqual([
        "0 - > worker start INTERNAL",
        "3 - > worker shutdown INTERNAL",
      ])
      expect(new Set(spans.map(({ scope }) => scope))).toEqual(new Set(["taskora", "user"]))
      expect(jobs.find(({ name }) => name === "process apart")?.attributes).toMatchObject({
        "messaging.system.name": "taskora",
        "messaging.destination.name": "apart",
        "messaging.taskora.attempt": 1,
        "messaging.taskora.outcome": "completed",
      })

      const value = (name: string, attributes: object) =>
        metrics[name]?.find((point) => JSON.stringify(point.attributes) === JSON.stringify(attributes))?.value
      expect(value("taskora.jobs.completed", { task: "mail" })).toBe(1)
      expect(value("taskora.jobs.retried", { task: "mail" })).toBe(1)
      expect(value("taskora.jobs.retried", { task: "apart" })).toBe(0)
      expect(value("taskora.job.duration", { task: "mail", outcome: "retried" })).toBe(1)
      expect(value("taskora.job.duration", { task: "apart", outcome: "completed" })).toBe(1)
      expect(value("taskora.worker.starts", {})).toBe(1)

      expect(logs).toEqual([
        { body: "under way", span: "process mail" },
        { body: "under way", span: "process mail" },
      ])
    },
  )
})

describe("its lock", () => {
  const text = readFileSync(join(fixture, "package-lock.json"), "utf8")
  const { packages } = JSON.parse(text) as {
    packages: Record<string, { version?: string; integrity?: string; optionalDependencies?: object }>
  }

  test("names no registry, and every package with what it must contain", () => {
    expect(text).not.toMatch(/"resolved"|https?:\/\/registry/)
    const { "": project, ...installed } = packages
    expect(Object.keys(installed).length).toBeGreaterThan(20)
    expect(Object.entries(installed).filter(([, entry]) => !entry.integrity)).toEqual([])
    expect(project).toMatchObject(
      JSON.parse(readFileSync(join(fixture, "package.json"), "utf8"), (key, value) =>
        ["private", "description", "type"].includes(key) ? undefined : value,
      ),
    )
  })

  test("lacks none of the packages that only other platforms install", () => {
    const optional = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}))
    expect(optional.filter((name) => !(`node_modules/${name}` in packages))).toEqual([])
  })

  test("pins every package of the project", () => {
    const { dependencies } = JSON.parse(readFileSync(join(fixture, "package.json"), "utf8"))
    expect(Object.values(dependencies).filter((range) => !/^\d+\.\d+\.\d+$/.test(String(range)))).toEqual([])
  })
})
