import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { cpSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, test } from "vitest"
import { onRedis } from "../support/hosts.ts"
import { stagePackage, workDirectory } from "../support/package.ts"
import { root } from "../support/repository.ts"

interface Told {
  readonly spans: readonly {
    readonly name: string
    readonly scope: string
    readonly parent?: string
    readonly text?: string
  }[]
  /** Commands that the server was sent while the app lived, by name; those inside scripts apart. */
  readonly sent: Readonly<Record<string, number>>
}

const ioredisScope = "@opentelemetry/instrumentation-ioredis"
const jobs = 1000
/** Every tenth job sends one. */
const handlersOwn = Array.from({ length: jobs / 10 }, (_, n) => `get of-${n * 10}`).sort()

const blocking = ["xread", "bzpopmin"]

const place = workDirectory("auto-instrumentation")
const programs = join(place.path, "programs")

beforeAll(() => {
  stagePackage(place.path)
  cpSync(join(root, "test/fixtures/auto-instrumentation"), programs, { recursive: true })
}, 120_000)
afterAll(() => place.remove())

const kinds = [
  // Modules are only seen by the SDK's loader hook; a plain --import would instrument nothing.
  ["an ES module", "program.mjs", ["--experimental-loader=@opentelemetry/instrumentation/hook.mjs"]],
  ["a CommonJS program", "program.cjs", []],
] as const

onRedis("instrumented ioredis", (host) => {
  async function run(program: string, options: readonly string[], settings: object): Promise<Told> {
    const prefix = `t${randomBytes(6).toString("hex")}`
    const flags = [...options, "--no-warnings", "--import", "./telemetry.mjs", program]
    const SETTINGS = JSON.stringify({ url: host.url(), prefix, ...settings })
    const { stdout } = await promisify(execFile)(process.execPath, flags, {
      cwd: programs,
      env: { ...process.env, SETTINGS },
      maxBuffer: 64 * 1024 * 1024,
      timeout: 100_000,
    })
    return JSON.parse(stdout) as Told
  }

  const redisSpans = ({ spans }: Told) => spans.filter(({ scope }) => scope === ioredisScope)
  const ours = ({ spans }: Told) => spans.filter(({ scope }) => scope === "taskora")
  function counted(told: Told): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { name } of redisSpans(told)) counts[name] = (counts[name] ?? 0) + 1
    return counts
  }

  /** Commands below a span: a handler's, and those that store jobs. */
  function expectPlaces(spans: Told["spans"]) {
    const own = spans.filter(({ parent }) => parent === "process t")
    expect(own.map(({ text }) => text).sort()).toEqual(handlersOwn)
    const others = spans.filter(({ parent }) => parent !== "process t")
    expect(new Set(others.map(({ name, parent }) => `${parent} > ${name}`))).toEqual(
      new Set(["send t > evalsha"]),
    )
  }

  for (const [kind, program, options] of kinds) {
    for (const requireParentSpan of [true, false]) {
      const title = `${kind}, requireParentSpan: ${requireParentSpan}`

      test(`${title}: a handler's commands make spans, and ours none`, { timeout: 120_000 }, async () => {
        const told = await run(program, options, { requireParentSpan, storeSpans: false })
        expect(ours(told).filter(({ name }) => name === "process t")).toHaveLength(jobs + jobs / 100)
        expect(told.sent.evalsha).toBeGreaterThan(10)
        const own = redisSpans(told).filter(({ name }) => name === "get")
        expect(own.map(({ text }) => text).sort()).toEqual(handlersOwn)
        expect(new Set(own.map(({ parent }) => parent))).toEqual(new Set(["process t"]))
        // The program's last word, after the app's life.
        const others = redisSpans(told).filter(({ name }) => !["get", "echo"].includes(name))
        expect(others).toEqual([])
      })
    }

    test(`${kind}, storeSpans: each command makes one span`, {
      timeout: 120_000,
    }, async () => {
      const told = await run(program, options, { requireParentSpan: false, storeSpans: true })
      const spans = counted(told)
      for (const name of ["connect", "evalsha", "xread", "subscribe", "bzpopmin"])
        expect(spans[name], name).toBeGreaterThan(0)
      for (const [name, sent] of Object.entries(told.sent)) {
        // Not all that a connection says of itself is told to a monitor, nor what is under way when it is closed.
        const untold = name === "client" ? 20 : blocking.includes(name) ? 2 : 0
        expect(spans[name], name).toBeGreaterThanOrEqual(sent)
        expect(spans[name], name).toBeLessThanOrEqual(sent + untold)
      }
      expect(Object.keys(spans).filter((name) => !(name in told.sent))).toEqual(["connect"])
      expectPlaces(redisSpans(told).filter(({ parent }) => parent !== undefined))
    })

    test(`${kind}, storeSpans where only commands below a span are wanted: those of dispatches`, {
      timeout: 120_000,
    }, async () => {
      const told = await run(program, options, { requireParentSpan: true, storeSpans: true })
      expectPlaces(redisSpans(told))
    })
  }
})
