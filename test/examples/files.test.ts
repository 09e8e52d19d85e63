import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync } from "node:fs"
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Redis } from "ioredis"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { OtlpReceiver } from "../support/otlp-receiver.ts"
import { redisAvailable, sharedRedis } from "../support/redis-server.ts"

const root = join(import.meta.dirname, "../..")
/** Files of the directory that all runs walk, and its directories. */
const files = 24
const directories = 3
/** What the program adds: three that vanish, one that is late, two links. */
const fragile = 6

let built: string
let directory: string
const running = new Set<Run>()

beforeAll(async () => {
  mkdirSync(join(root, ".tmp"), { recursive: true })
  // In the repository, where packages and the folder lua/ are found from.
  built = mkdtempSync(join(root, ".tmp", "files-"))
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  const args = [compiler, "-p", "tsconfig.examples.json", "--outDir", built, "--noCheck"]
  await promisify(execFile)(process.execPath, args, { cwd: root })
  directory = await mkdtemp(join(tmpdir(), "taskora-walked-"))
  await fill(directory)
}, 60_000)

afterEach(async () => {
  await Promise.all([...running].map((run) => run.stop("SIGKILL")))
})

afterAll(async () => {
  await rm(built, { recursive: true, force: true })
  await rm(directory, { recursive: true, force: true })
})

async function fill(at: string) {
  await mkdir(join(at, "texts"))
  await mkdir(join(at, "mixed"))
  for (let i = 0; i < 20; i++) await writeFile(join(at, "texts", `${i}.txt`), `number ${i}\n`.repeat(100 * i))
  await writeFile(join(at, "mixed", "data.json"), JSON.stringify({ one: 1 }))
  await writeFile(join(at, "mixed", "picture.png"), Buffer.from("89504e470d0a1a0a", "hex"))
  await writeFile(join(at, "large.bin"), Buffer.alloc(2 * 1024 * 1024))
  await symlink(join(at, "nowhere"), join(at, "mixed", "dangling"))
}

/** One run of the built program. */
class Run {
  output = ""
  private readonly child: ChildProcess
  private readonly exit: Promise<number | null>

  constructor(program: "main" | "worker", args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const script = join(built, "examples/files", `${program}.js`)
    const inherited = { ...process.env }
    delete inherited.OTEL_EXPORTER_OTLP_ENDPOINT
    this.child = spawn(process.execPath, [script, ...args], { env: { ...inherited, ...env } })
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString()
        this.child.emit("said")
      })
    this.exit = once(this.child, "close").then(([code]) => code as number | null)
    running.add(this)
  }

  async code(): Promise<number | null> {
    const code = await this.exit
    running.delete(this)
    return code
  }

  /** Resolves with the match once the program has printed it. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    let ended = false
    this.exit.then(() => {
      ended = true
      this.child.emit("said")
    })
    for (;;) {
      const match = pattern.exec(this.output)
      if (match) return match
      if (ended) throw new Error(`it ended without saying ${pattern}:\n${this.output}`)
      await once(this.child, "said")
    }
  }

  stop(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal)
    return this.code()
  }
}

/** The numbers of a row of the summary. */
function row(output: string, what: string): number[] {
  const line = output.split("\n").find((text) => text.trim().startsWith(what))
  if (line === undefined) throw new Error(`no row "${what}" in:\n${output}`)
  return [...line.replace(what, "").matchAll(/\b[\d,]+\b/g)].map(([digits]) =>
    Number(digits.replaceAll(",", "")),
  )
}

/** What holds however many processes shared the work. */
function expectWhole(output: string) {
  expect(output).toContain("reconciled: all")
  expect(output).not.toContain("DIFFERS")
  expect(row(output, "jobs dispatched")).toEqual(Array(5).fill(files + fragile + directories + 1))
}

function expectWholeRun(output: string) {
  expectWhole(output)
  const jobs = files + fragile + directories + 1
  expect(row(output, "jobs cancelled")).toEqual(Array(5).fill(1))
  expect(row(output, "by FileTooLargeError")).toEqual([1, 1])
  expect(row(output, "by FileGoneError")).toEqual([3, 3])
  expect(row(output, "by DanglingLinkError")).toEqual([2, 2])
  expect(row(output, "by NotAFileError")).toEqual([1, 1])
  // One too large, three gone, two dangling, one a folder.
  expect(row(output, "jobs failed for good")).toEqual(Array(5).fill(7))
  expect(row(output, "jobs completed")).toEqual(Array(5).fill(jobs - 7 - 1))
  const [retries] = row(output, "retries")
  expect(retries).toBeGreaterThan(0)
  expect(row(output, "attempts started")).toEqual(Array(5).fill(jobs + retries!))
}

function expectWaterfall(output: string) {
  expect(output).toMatch(/trace [0-9a-f]{32}: scan-file job \w{16}, completed in attempt [2-4]/)
  expect(output).toMatch(/^ {2}send scan-file +0\.0/m)
  expect(output).toMatch(/^ {4}process scan-file .*attempt 1: retried NotThereYetError \(next in \d+ ms\)/m)
  expect(output).toMatch(/^ {6}read .*NotThereYetError/m)
  expect(output).toMatch(/^ {4}process scan-file .*attempt [2-4]: completed/m)
  expect(output).toMatch(/^ {6}compress /m)
}

describe("npm start on the embedded engine", () => {
  test("runs to the end, reconciles, shows a trace, and leaves no files behind", async () => {
    const temporary = await mkdtemp(join(tmpdir(), "taskora-temporary-"))
    const run = new Run("main", [directory, "--exit", "--port", "0"], { TMPDIR: temporary })
    expect(await run.code()).toBe(0)
    expectWholeRun(run.output)
    expectWaterfall(run.output)
    expect(await readdir(temporary)).toEqual([])
    await rm(temporary, { recursive: true })
  })

  test("stops walking at its limits", async () => {
    const run = new Run("main", [directory, "--exit", "--port", "0", "--max-files", "5"])
    expect(await run.code()).toBe(0)
    expect(run.output).toContain("the walk ended at --max-files")
    expect(run.output).toContain("found 5 files")
  })

  test("--keep goes on serving /metrics until Ctrl-C, and ends with code 0", async () => {
    const run = new Run("main", [directory, "--keep", "--port", "0"])
    const [, url] = await run.says(/serving (http:\S+) until Ctrl-C/)
    const text = await (await fetch(url!)).text()
    expect(text).toContain(`taskora_jobs_dispatched_total{task="scan-file"} ${files + fragile}`)
    expect(text).toContain('taskora_jobs_cancelled_total{task="slow-scan",state="active"} 1')
    expect(await run.stop("SIGINT")).toBe(0)
  })

  test("--again walks again and again until Ctrl-C, and finds the same each time", async () => {
    const run = new Run("main", [directory, "--port", "0", "--again", "0"])
    await run.says(/(found 24 files[\s\S]*?){3}/)
    const [, url] = await run.says(/metrics +(http:\S+)/)
    const text = await (await fetch(url!)).text()
    const dispatched = (task: string) =>
      Number(new RegExp(`jobs_dispatched_total{task="${task}"} (\\d+)`).exec(text)?.[1])
    expect(dispatched("scan-file")).toBeGreaterThanOrEqual(3 * (files + fragile))
    expect(dispatched("summarize-directory")).toBeGreaterThanOrEqual(3 * directories)
    expect(await run.stop("SIGINT")).toBe(130)
  })

  test("--host says where /metrics listens", async () => {
    const run = new Run("main", [directory, "--port", "0", "--host", "127.0.0.2"])
    const [, url] = await run.says(/serving (http:\S+) until Ctrl-C/)
    expect(url).toContain("//127.0.0.2:")
    expect((await fetch(url!)).status).toBe(200)
    await expect(fetch(url!.replace("127.0.0.2", "127.0.0.1"))).rejects.toThrow()
    expect(await run.stop("SIGINT")).toBe(0)
  })

  test("ends in order when it is stopped half-way", async () => {
    const run = new Run("main", [directory, "--exit", "--port", "0"])
    await run.says(/found \d+ files/)
    expect(await run.stop("SIGTERM")).toBe(143)
    expect(run.output).toMatch(/stopped; \d+ jobs? had not ended/)
  })

  test("sends traces to an OTLP endpoint, and says which to look at", async () => {
    const receiver = await OtlpReceiver.start()
    const run = new Run("main", [directory, "--exit", "--port", "0", "--otlp", receiver.endpoint])
    expect(await run.code()).toBe(0)
    const [, traceId] = await run.says(/trace ([0-9a-f]{32}): .* \(sent to http/)
    const names = receiver.spans.filter((span) => span.traceId === traceId).map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(["send scan-file", "process scan-file", "read", "compress"]))
    await receiver.stop()
  })
})

describe("the command line", () => {
  const wrong: [string, string[], RegExp][] = [
    ["an unknown flag", ["--frobnicate"], /Unknown option '--frobnicate'/],
    ["two ends", ["--exit", "--keep"], /exclude each other/],
    ["an end of what goes on", ["--exit", "--again", "1"], /--exit and --again exclude each other/],
    ["an impossible pause", ["--again", "soon"], /--again soon: give a whole number/],
    ["no directory", [join("no", "such", "directory")], /no.such.directory is not a directory/],
    ["an impossible port", ["--port", "70000"], /--port 70000: give a whole number/],
    ["an impossible size", ["--max-bytes", "lots"], /--max-bytes lots: give a size/],
  ]
  test.each(wrong)("%s is refused with code 2", async (_, args, message) => {
    const run = new Run("main", args)
    expect(await run.code()).toBe(2)
    expect(run.output).toMatch(message)
    expect(run.output).toContain("--help")
  })

  test("--help shows all options", async () => {
    const run = new Run("main", ["--help"])
    expect(await run.code()).toBe(0)
    for (const flag of [
      "--redis",
      "--port",
      "--host",
      "--again",
      "--otlp",
      "--exit",
      "--keep",
      "--max-file-bytes",
    ])
      expect(run.output).toContain(flag)
  })

  test("a port that is taken is named, with the way out", async () => {
    const holder = createServer().listen(0, "127.0.0.1")
    await once(holder, "listening")
    const { port } = holder.address() as { port: number }
    const run = new Run("main", [directory, "--exit", "--port", `${port}`])
    expect(await run.code()).toBe(1)
    expect(run.output).toMatch(new RegExp(`port ${port}, .* is taken; .*--port 0`))
    holder.close()
  })

  test("a Redis that is not there is named, without a stack", async () => {
    const run = new Run("main", [directory, "--exit", "--port", "0", "--redis", "redis://127.0.0.1:1"])
    expect(await run.code()).toBe(1)
    expect(run.output.trim()).toMatch(/^cannot reach Redis at 127\.0\.0\.1:1.*$/)
  })
})

describe.skipIf(!redisAvailable())("npm start on Redis", () => {
  let server: Awaited<ReturnType<typeof sharedRedis>>
  beforeAll(async () => {
    server = await sharedRedis()
  })
  afterAll(() => server.stop())

  test("reconciles, and its keys expire", async () => {
    const run = new Run("main", [directory, "--exit", "--port", "0", "--redis", server.url])
    expect(await run.code()).toBe(0)
    expectWholeRun(run.output)
    expectWaterfall(run.output)
    const prefix = /prefix (\S+)/.exec(run.output)![1]!
    const client = new Redis(server.url)
    const keys = await client.keys(`${prefix}:*`)
    const lives = await Promise.all(keys.map((key) => client.pttl(key)))
    client.disconnect()
    expect(lives.length).toBeGreaterThan(0)
    expect(lives.filter((ms) => ms < 0)).toEqual([])
  })

  test("two runs side by side do not mix", async () => {
    const args = [directory, "--exit", "--port", "0", "--redis", server.url, "--prefix", "same"]
    const runs = [new Run("main", args), new Run("main", args)]
    expect(await Promise.all(runs.map((run) => run.code()))).toEqual([0, 0])
    for (const run of runs) expectWholeRun(run.output)
  })

  test("a worker joins, takes its share, and hears the same events", async () => {
    const worker = new Run("worker", ["--redis", server.url])
    await worker.says(/no run on .* yet/)
    const main = new Run("main", [directory, "--exit", "--port", "0", "--redis", server.url])
    const [, url] = await worker.says(/metrics +(http:\S+)/)
    const ready = await fetch(url!.replace("/metrics", "/readyz"))
    expect(ready.status).toBe(200)
    await worker.says(/cancelled +slow-scan/)
    expect(await main.code()).toBe(0)
    expectWhole(main.output)
    expect(await worker.stop("SIGINT")).toBe(0)
    const [, attempts] = await worker.says(/in this process: +(\d+) attempts?/)
    const [here, , everywhere] = row(main.output, "attempts started")
    expect(here! + Number(attempts)).toBe(everywhere)
  })
})
