import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { bin, manifest, run, stagePackage, workDirectory } from "../support/package.ts"
import { root } from "../support/repository.ts"

const readme = readFileSync(join(root, "README.md"), "utf8")
const place = workDirectory("readme")
afterAll(() => place.remove())

function blocks(language: string, page = readme): string[] {
  return [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , text]) => text as string)
}

/** What snippets without imports of their own speak of. */
const around = `
import type { App, Task } from "taskora"
declare const taskora: App
declare const sendEmail: Task<{ to: string }, { messageId: string }>
declare const archive: Task<{ messageId: string }, void>
declare function alertOncall(message: string): void
`

describe("the README", () => {
  test("has snippets for each way to see what happens", () => {
    expect(blocks("ts").length).toBeGreaterThanOrEqual(6)
    for (const word of ["prometheus()", "startTelemetry(", 'on("failed"', '"SIGTERM"', "Listeners fan out"])
      expect(readme).toContain(word)
  })

  test("every TypeScript snippet is correct, those on the exporter's page too", () => {
    const entry = (path: string) => [join(root, path)]
    const config = {
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        rootDir: root,
        typeRoots: [join(root, "node_modules/@types")],
        paths: {
          taskora: entry("src/index.ts"),
          "taskora/redis": entry("src/redis.ts"),
          "taskora/memory": entry("src/memory.ts"),
          "taskora/prometheus": entry("exporters/prometheus.ts"),
          "taskora/opentelemetry": entry("exporters/opentelemetry/index.ts"),
          "taskora/exporter": entry("exporters/cluster.ts"),
          "taskora/test": entry("src/testing/index.ts"),
        },
      },
      include: ["*.ts"],
    }
    writeFileSync(join(place.path, "tsconfig.json"), JSON.stringify(config))
    const exporter = blocks("ts", readFileSync(join(root, "docs/exporter.md"), "utf8"))
    expect(exporter).toHaveLength(1)
    const schemas = blocks("ts", readFileSync(join(root, "docs/schemas.md"), "utf8"))
    expect(schemas.length).toBeGreaterThan(3)
    const schedules = blocks("ts", readFileSync(join(root, "docs/schedules.md"), "utf8"))
    expect(schedules).toHaveLength(2)
    // One program, from the lines that its examples go on from to the page's end.
    const flow = blocks("ts", readFileSync(join(root, "docs/flow.md"), "utf8"))
    const begins = flow.findIndex((text) => text.includes("import "))
    const [setUp, ...uses] = flow.slice(begins)
    expect(uses.length).toBeGreaterThanOrEqual(3)
    const flowPage = `${setUp}\n${uses.map((text) => `{\n${text}}\n`).join("")}`
    ;[...blocks("ts"), ...exporter, ...schemas, ...schedules, flowPage].forEach((text, i) => {
      const whole = text.includes("import ") ? text : `${around}\n${text}\nexport {}\n`
      writeFileSync(join(place.path, `snippet-${i + 1}.ts`), whole)
    })
    run(bin("tsc"), ["-p", place.path], { cwd: root })
    // The check itself is awake.
    writeFileSync(join(place.path, "wrong.ts"), `${around}\nsendEmail.dispatch({ to: 1 })\nexport {}\n`)
    expect(() => run(bin("tsc"), ["-p", place.path], { cwd: root })).toThrow(/wrong\.ts.*not assignable/)
  })

  test("every JavaScript program prints what is said", () => {
    const built = join(place.path, "built")
    mkdirSync(built)
    stagePackage(built)
    const programs = blocks("js")
    const outputs = blocks("text")
    expect(programs).toHaveLength(outputs.length)
    programs.forEach((text, i) => {
      writeFileSync(join(built, `program-${i}.mjs`), text)
      expect(run("node", [`program-${i}.mjs`], { cwd: built })).toBe(outputs[i])
    })
  })

  test("names files, scripts, versions and packages that exist", () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path]) => path as string)
    expect(links.length).toBeGreaterThan(3)
    expect(links.filter((path) => !existsSync(join(root, path)))).toEqual([])
    const named = [...readme.matchAll(/npm run (\w+)/g)].map(([, name]) => name as string)
    expect(named.filter((name) => !(name in manifest.scripts))).toEqual([])
    for (const [, found] of readme.matchAll(/taskora-([\d.]+)\.tgz/g)) expect(found).toBe(manifest.version)
    const packages = [...readme.matchAll(/@opentelemetry\/[\w-]+/g)].map(([name]) => name)
    expect(packages.filter((name) => !(name in manifest.peerDependencies))).toEqual([])
    const needed = Object.keys(manifest.peerDependencies).filter((name) => name.startsWith("@opentelemetry/"))
    // Dependencies of the others: for ctx.log where there is an SDK of logs, and for OTEL_PROPAGATORS.
    const implied = ["@opentelemetry/api-logs", "@opentelemetry/core"]
    expect(needed.filter((name) => !packages.includes(name))).toEqual(implied)
  })
})
