import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { run, stagePackage, workDirectory } from "../support/package.ts"

const place = workDirectory("loading")
const optional = ["@opentelemetry/", "ioredis", "prom-client", "wasmoon"]

/** Writes down what is imported; what CommonJS modules require of each other is read from require's cache. */
const hooks = `
import { appendFileSync } from "node:fs"
export async function resolve(specifier, context, next) {
  const resolved = await next(specifier, context)
  appendFileSync(process.env.LOADED, resolved.url + "\\n")
  return resolved
}`

const recorder = `
import { appendFileSync } from "node:fs"
import { createRequire, register } from "node:module"
register("./hooks.mjs", import.meta.url)
process.on("exit", () => {
  const required = Object.keys(createRequire(import.meta.url).cache)
  appendFileSync(process.env.LOADED, required.join("\\n"))
})`

beforeAll(() => {
  stagePackage(place.path)
  mkdirSync(join(place.path, "programs"))
  writeFileSync(join(place.path, "programs", "hooks.mjs"), hooks)
  writeFileSync(join(place.path, "programs", "recorder.mjs"), recorder)
})
afterAll(() => place.remove())

let programs = 0

/** The optional packages that a program loads. */
function loadedBy(program: string): { packages: string[]; files: string[] } {
  const name = join(place.path, "programs", `${++programs}`)
  writeFileSync(`${name}.mjs`, program)
  writeFileSync(`${name}.txt`, "")
  const recording = pathToFileURL(join(place.path, "programs", "recorder.mjs")).href
  run("node", ["--import", recording, `${name}.mjs`], { cwd: place.path, env: { LOADED: `${name}.txt` } })
  const files = readFileSync(`${name}.txt`, "utf8").split("\n").filter(Boolean)
  const packages = optional.filter((start) => files.some((file) => file.includes(`/node_modules/${start}`)))
  return { packages, files }
}

/** One job, done; then the app is closed. */
const work = (adapter: string, observers = "") => `
import { createTaskora } from "taskora"
${adapter}
const taskora = createTaskora({ adapter, observers: [${observers}] })
const double = taskora.task("double", async (n) => n * 2)
await taskora.start()
if ((await double.dispatch(21).result) !== 42) process.exit(3)
await taskora.close()`

const memory = `import { memoryAdapter } from "taskora/memory"
const adapter = memoryAdapter()`

describe("what is loaded", () => {
  test("the recorder sees imports, and what CommonJS packages require", () => {
    const program = `import "taskora/prometheus"; import "prom-client"; await import("ioredis")`
    // prom-client requires OpenTelemetry's API by itself.
    expect(loadedBy(program).packages).toEqual(["@opentelemetry/", "ioredis", "prom-client"])
  })

  test("taskora itself loads no package but croner, which is small and needs no other", () => {
    const { files } = loadedBy(`import "taskora"`)
    expect(files.length).toBeGreaterThan(20)
    const foreign = files.filter((file) => file.includes("/node_modules/"))
    expect(foreign).toEqual([expect.stringContaining("/node_modules/croner/")])
  })

  test("taskora/memory loads no ioredis, taskora/redis no wasmoon, and neither its own before it connects", () => {
    const program = (entry: string, make: string) => `
      import { createTaskora } from "taskora"
      import * as entry from "taskora/${entry}"
      createTaskora({ adapter: entry.${make} })`
    expect(loadedBy(program("memory", "memoryAdapter()")).packages).toEqual([])
    expect(loadedBy(program("redis", 'redisAdapter("redis://127.0.0.1:1")')).packages).toEqual([])
  })

  test("an app at work without observers loads neither OpenTelemetry nor prom-client", () => {
    expect(loadedBy(work(memory)).packages).toEqual(["wasmoon"])
  })

  test("connecting to Redis loads ioredis and no wasmoon", () => {
    const { packages } = loadedBy(`
      import { createTaskora } from "taskora"
      import { redisAdapter } from "taskora/redis"
      const taskora = createTaskora({ adapter: redisAdapter("redis://127.0.0.1:1") })
      await taskora.start().catch(() => {})
      await taskora.close({ timeout: 0 })`)
    expect(packages).toEqual(["ioredis"])
  })

  test("prometheus() loads prom-client only where its registry or default metrics are asked for", () => {
    const observer = `import { prometheus } from "taskora/prometheus"\nconst metrics = prometheus({ port: false })`
    expect(loadedBy(work(`${memory}\n${observer}`, "metrics")).packages).toEqual(["wasmoon"])
    const asked = `${work(`${memory}\n${observer}`, "metrics")}\nmetrics.registry`
    expect(loadedBy(asked).packages).toContain("prom-client")
  })

  test("taskora/exporter loads what its adapter needs, and prom-client never", () => {
    const { packages } = loadedBy(`
      import { clusterExporter } from "taskora/exporter"
      import { memoryAdapter } from "taskora/memory"
      const exporter = clusterExporter({ adapter: memoryAdapter(), port: 0 })
      await exporter.start()
      if (!(await exporter.render()).body.includes("taskora_workers 0")) process.exit(3)
      await exporter.close()`)
    expect(packages).toEqual(["wasmoon"])
  })

  test("taskora/test loads the embedded engine, and neither ioredis, prom-client nor OpenTelemetry", () => {
    const { packages } = loadedBy(`
      import { createTaskora } from "taskora"
      import { redisAdapter } from "taskora/redis"
      import { createTestRunner } from "taskora/test"
      const taskora = createTaskora({ adapter: redisAdapter("redis://127.0.0.1:1") })
      const double = taskora.task("double", (n) => n * 2)
      const runner = createTestRunner({ from: taskora })
      if ((await runner.execute(double, 21)).result !== 42) process.exit(3)
      if (runner.spans.length !== 2 || runner.metrics.value("taskora.jobs.completed") !== 1) process.exit(4)
      await runner.dispose()`)
    expect(packages).toEqual(["wasmoon"])
  })

  test("opentelemetry() loads OpenTelemetry's APIs and nothing of its SDK", () => {
    const observer = `import { opentelemetry } from "taskora/opentelemetry"`
    const { files, packages } = loadedBy(work(`${memory}\n${observer}`, "opentelemetry()"))
    expect(packages).toEqual(["@opentelemetry/", "wasmoon"])
    const foreign = files.filter((file) => /@opentelemetry\/(?!api\/|api-logs\/)/.test(file))
    expect(foreign).toEqual([])
  })
})
