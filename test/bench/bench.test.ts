import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { root } from "../support/repository.ts"

interface Report {
  readonly rows: readonly {
    readonly name: string
    readonly entries: readonly {
      readonly label: string
      readonly medians: Readonly<Record<string, number>>
    }[]
  }[]
}

// Below bench/, so that what is built finds the packages that are installed there.
const built = join(root, "bench/dist/test")
const withBullMQ = existsSync(join(root, "bench/node_modules/bullmq"))

function run(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: root, encoding: "utf8" })
  expect(status, `${stdout}\n${stderr}`).toBe(0)
  return stdout
}

function build(): void {
  const project = withBullMQ ? "bench/tsconfig.json" : "bench/tsconfig.alone.json"
  run("node_modules/typescript/bin/tsc", "-p", project, "--outDir", built)
}

test("the bench runs, counts every job, and writes what it measured", { timeout: 120_000 }, ({ skip }) => {
  skip(
    spawnSync("redis-server", ["--version"]).status !== 0,
    "the bench starts a redis-server, and there is none",
  )
  build()
  const folder = mkdtempSync(join(tmpdir(), "taskora-bench-"))
  try {
    const file = join(folder, "report.json")
    const who = withBullMQ ? [] : ["--alone"]
    const shown = run(join(built, "bench/run.js"), "--quick", "--only", "process-100", "--json", file, ...who)
    const { rows } = JSON.parse(readFileSync(file, "utf8")) as Report
    expect(rows.map(({ name }) => name)).toEqual(["process-100"])
    const { entries } = rows[0]!
    expect(entries.map(({ label }) => label)).toEqual(withBullMQ ? ["taskora", "bullmq"] : ["taskora"])
    for (const { medians } of entries)
      for (const name of ["rate", "redisUs", "commands", "clientUs"]) expect(medians[name]).toBeGreaterThan(0)
    expect(shown).toContain("process-100")
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test("a row that there is none of is named, with those that there are", ({ skip }) => {
  skip(!existsSync(join(built, "bench/run.js")), "the bench has not been built")
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(built, "bench/run.js"), "--only", "nonesuch"],
    {
      cwd: root,
      encoding: "utf8",
    },
  )
  expect(status).toBe(1)
  expect(stderr).toContain("--only nonesuch: the rows are limits, enqueue-1,")
})
