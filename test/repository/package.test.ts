import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { version } from "../../src/version.ts"
import { bin, manifest, run, stagePackage, workDirectory } from "../support/package.ts"
import { root, sourceFiles } from "../support/repository.ts"

const stage = workDirectory("package")
// An empty project far from this repository, whose packages must not be found from there.
const project = mkdtempSync(join(tmpdir(), "taskora-project-"))
let tarball = ""

beforeAll(() => {
  stagePackage(stage.path)
  run("npm", ["pack", "--ignore-scripts", "--silent"], { cwd: stage.path })
  tarball = join(stage.path, `taskora-${manifest.version}.tgz`)
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", private: true }))
  const peers = ["ioredis", "wasmoon"].map((name) => `${name}@${manifest.devDependencies[name]}`)
  const quietly = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
  run("npm", ["install", ...quietly, tarball, ...peers], { cwd: project })
}, 120_000)
afterAll(() => {
  stage.remove()
  rmSync(project, { recursive: true, force: true })
})

const double = `
  const taskora = createTaskora({ adapter: memoryAdapter() })
  const double = taskora.task("double", async (n) => n * 2)
  await taskora.start()
  console.log(await double.dispatch(21).result)
  await taskora.close()`

function program(name: string, text: string): string {
  writeFileSync(join(project, name), text)
  return run("node", [name], { cwd: project })
}

describe("the packed package, installed in an empty project", () => {
  const installed = join(project, "node_modules", "taskora")

  test("holds the build, the scripts and the documents, and no tests, examples or sources", () => {
    const files = readdirSync(installed, { encoding: "utf8", recursive: true })
    expect(readdirSync(installed).sort()).toEqual(
      ["CHANGELOG.md", "LICENSE", "README.md", "dashboards", "dist", "docs", "lua", "package.json"].sort(),
    )
    expect(readdirSync(join(installed, "dashboards"))).toEqual(["grafana", "prometheus"])
    expect(readdirSync(join(installed, "dashboards/prometheus"))).toEqual([
      "taskora.alerts.yml",
      "taskora.rules.yml",
    ])
    expect(readdirSync(join(installed, "dist")).sort()).toEqual(["exporters", "src"])
    expect(files.filter((file) => /\btest\b|examples|(?<!\.d)\.ts$|\.map$/.test(file))).toEqual([])
    const scripts = sourceFiles(["lua"], ".lua").map(({ path }) => path)
    expect(scripts.filter((path) => !existsSync(join(installed, path)))).toEqual([])
  })

  test("brings one package of its own, which counts by cron and needs no other", () => {
    const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8"))
    expect(Object.keys(lock.packages["node_modules/taskora"].dependencies)).toEqual(["croner"])
    expect(lock.packages["node_modules/croner"].dependencies).toBeUndefined()
    expect(readdirSync(join(project, "node_modules"))).not.toContain("@opentelemetry")
    expect(readdirSync(join(project, "node_modules"))).not.toContain("prom-client")
  })

  test("runs a job imported as a module", () => {
    const imports = `import { createTaskora } from "taskora"\nimport { memoryAdapter } from "taskora/memory"`
    expect(program("job.mjs", `${imports}\n${double}`)).toBe("42\n")
  })

  test("runs a job required from CommonJS", () => {
    const requires = `const { createTaskora } = require("taskora")\nconst { memoryAdapter } = require("taskora/memory")`
    expect(program("job.cjs", `${requires}\nasync function main() {${double}}\nmain()`)).toBe("42\n")
  })

  test("every entry point can be imported and required", () => {
    // What startTelemetry and opentelemetry() need is not in the project: the API is linked for them.
    symlinkSync(join(root, "node_modules", "@opentelemetry"), join(project, "node_modules", "@opentelemetry"))
    const entries = Object.keys(manifest.exports)
      .filter((entry) => !entry.endsWith(".json"))
      .map((entry) => `taskora${entry.slice(1)}`)
    expect(entries).toHaveLength(7)
    const list = JSON.stringify(entries)
    const imported = program(
      "entries.mjs",
      `for (const e of ${list}) console.log(Object.keys(await import(e)).sort().join())`,
    )
    const required = program(
      "entries.cjs",
      `for (const e of ${list}) console.log(Object.keys(require(e)).sort().join())`,
    )
    expect(required.replaceAll(/,?__esModule|,?module\.exports/g, "")).toBe(imported)
    expect(imported).toContain("createTaskora")
    expect(imported).toContain("memoryAdapter\n")
    expect(imported).toContain("redisAdapter\n")
    expect(imported).toContain("prometheus\n")
    expect(imported).toContain("metricProducer,opentelemetry,startTelemetry\n")
    expect(imported).toContain("clusterExporter\n")
    expect(imported).toContain("createTestRunner\n")
  })

  test("brings the command taskora, found by npx", () => {
    const taskora = (...args: string[]) => run("npx", ["--no-install", "taskora", ...args], { cwd: project })
    expect(taskora("--version")).toBe(`${manifest.version}\n`)
    expect(taskora("exporter", "--help")).toContain("--redis URL")
    expect(() => taskora("exporter", "--redis", "nowhere")).toThrow(/ended with 2\n[\s\S]*--redis: the URL/)
  })

  test("says what is missing where wasmoon or the SDK are not installed", () => {
    rmSync(join(project, "node_modules", "wasmoon"), { recursive: true })
    const text = `import { createTaskora } from "taskora"
      import { memoryAdapter } from "taskora/memory"
      const taskora = createTaskora({ adapter: memoryAdapter() })
      await taskora.start().catch((error) => console.log(error.message))
      await taskora.close()`
    expect(program("missing.mjs", text)).toContain("npm install wasmoon")
  })
})

describe("the manifest", () => {
  test("publint has nothing to say", () => {
    expect(run(bin("publint"), ["--strict", tarball], { cwd: stage.path })).toContain("All good!")
  })

  test("the types of every entry point resolve", () => {
    const answer = run(bin("attw"), [tarball, "--profile", "esm-only", "--format", "json"], {
      cwd: stage.path,
    })
    const { analysis } = JSON.parse(answer)
    expect(Object.keys(analysis.entrypoints).sort()).toEqual(Object.keys(manifest.exports).sort())
    const ignored = ["node10", "node16-cjs"]
    const problems = analysis.problems.filter(
      (problem: { resolutionKind?: string }) => !ignored.includes(problem.resolutionKind ?? ""),
    )
    expect(problems).toEqual([])
  })

  test("the version that telemetry tells is the package's", () => {
    expect(version).toBe(manifest.version)
  })

  test("all but what counts by cron is an optional peer, and is there to be tested with", () => {
    const peers = Object.keys(manifest.peerDependencies)
    expect(peers.filter((name) => !manifest.peerDependenciesMeta[name]?.optional)).toEqual([])
    expect(peers.filter((name) => !manifest.devDependencies[name])).toEqual([])
    expect(manifest).toHaveProperty("dependencies", { croner: expect.stringMatching(/^\d+\.\d+\.\d+$/) })
  })

  test("what it is developed with is pinned", () => {
    const loose = Object.entries(manifest.devDependencies).filter(
      ([, range]) => !/^(?:npm:[\w@/-]+@)?\d+\.\d+\.\d+$/.test(range),
    )
    expect(loose).toEqual([])
  })

  test("everything that is loaded at run time is among the peers", () => {
    const word = /\bimport\("([^"]+)"\)|const name = "(@[^"]+)"/g
    const sdk = sourceFiles(["exporters"], ".ts").flatMap(({ text }) =>
      [...text.matchAll(word)].map(([, imported, named]) => imported ?? named ?? ""),
    )
    expect(sdk.length).toBeGreaterThan(4)
    expect(sdk.filter((name) => !(name in manifest.peerDependencies))).toEqual([])
  })
})
