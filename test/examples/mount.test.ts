import { execFile, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { CommandRun } from "../support/command.ts"
import { parseExposition, seriesValue } from "../support/exposition.ts"
import { rawGet, statusOf } from "../support/raw-http.ts"
import { root } from "../support/repository.ts"
import { openmetrics } from "../support/scrape.ts"

let built: string
beforeAll(async () => {
  mkdirSync(join(root, ".tmp"), { recursive: true })
  // In the repository, where packages and the folder lua/ are found from.
  built = mkdtempSync(join(root, ".tmp", "mount-"))
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  const args = [compiler, "-p", "tsconfig.examples.json", "--outDir", built, "--noCheck"]
  await promisify(execFile)(process.execPath, args, { cwd: root })
}, 60_000)
afterAll(() => rmSync(built, { recursive: true, force: true }))

/** How each says itself that it has no such page. */
const servers: [string, RegExp][] = [
  ["express", /Cannot GET \/nothing/],
  ["fastify", /"message":"Route GET:\/nothing not found"/],
  ["node-http", /^this server has no such page\n$/],
]

describe.each(servers)("the metrics in a server of one's own: %s", (name, ownNotFound) => {
  let run: CommandRun
  let url: string
  const token = "s3cret-token"
  const authorization = `Bearer ${token}`

  beforeAll(async () => {
    const script = join(built, "examples/mount", `${name}.js`)
    const env = { ...process.env, PORT: "0", METRICS_TOKEN: token }
    run = new CommandRun(spawn(process.execPath, [script], { env, stdio: ["ignore", "pipe", "pipe"] }))
    const [, base] = await run.says(/(http:\/\/\S+)\/metrics/)
    url = base!
  })
  afterAll(() => {
    run.process.kill("SIGKILL")
  })

  test("are scraped in both formats, beside the server's own pages", async () => {
    expect(await (await fetch(`${url}/greet/ada`)).text()).toBe("hello ada")
    for (const [format, accept] of [
      ["text", "text/plain"],
      ["openmetrics", openmetrics],
    ] as const) {
      const answer = await fetch(`${url}/metrics?x=1`, { headers: { authorization, accept } })
      expect(answer.status).toBe(200)
      expect(answer.headers.get("content-type")).toMatch(
        format === "text"
          ? /^text\/plain; version=0\.0\.4/
          : /^application\/openmetrics-text; version=1\.0\.0/,
      )
      const families = parseExposition(await answer.text(), format)
      expect(seriesValue(families, "taskora_jobs_completed_total", { task: "greet" })).toBe(1)
    }
  })

  test("answer HEAD without a body", async () => {
    const answer = await fetch(`${url}/metrics`, { method: "HEAD", headers: { authorization } })
    expect(answer.status).toBe(200)
    expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(await answer.text()).toBe("")
  })

  test("are refused without the token; the probes are not", async () => {
    for (const headers of [{}, { authorization: "Bearer wrong" }]) {
      const answer = await fetch(`${url}/metrics`, { headers })
      expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="taskora"'])
    }
    for (const [probe, text] of [
      ["healthz", "ok\n"],
      ["readyz", "ready\n"],
    ])
      expect(await (await fetch(`${url}/${probe}`)).text()).toBe(text)
  })

  test("leave every other page to the server", async () => {
    const answer = await fetch(`${url}/nothing`)
    expect([answer.status, await answer.text()]).toEqual([404, expect.stringMatching(ownNotFound)])
    const { port } = new URL(url)
    for (const target of ["//", "//metrics", "/metrics/", "/metrics/../metrics", "http://[/metrics"])
      expect(statusOf(await rawGet(Number(port), target)), target).not.toBe(200)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  test("end with it", async () => {
    run.process.kill("SIGTERM")
    expect(await run.code()).toBe(0)
    expect(run.err).toBe("")
  })
})
