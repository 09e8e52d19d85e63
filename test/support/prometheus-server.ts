import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** The first of some programs that runs. Without one: an error in CI, elsewhere a reason to skip. */
export function findProgram(programs: readonly string[], ...args: string[]): string | undefined {
  const found = programs.find((program) => {
    const { status } = spawnSync(program, args, { stdio: "ignore" })
    return status === 0
  })
  if (found !== undefined) return found
  const missing = `${programs.join(" or ")} ${args.join(" ")} does not run here`
  if (process.env.CI) throw new Error(missing)
  console.warn(`skipped: ${missing}`)
  return undefined
}

/** A real Prometheus that scrapes the given ports of this host as the job `taskora`, and others as jobs of their own. */
export class PrometheusServer {
  readonly url: string
  readonly #process: ChildProcess
  readonly #directory: string

  private constructor(process: ChildProcess, directory: string, url: string) {
    this.#process = process
    this.#directory = directory
    this.url = url
  }

  /**
   * `others`, ports by the names of their jobs, say themselves which job and instance each series is of. `rules` are
   * the texts of rule files, evaluated as often as is scraped.
   */
  static async start(
    targets: readonly number[],
    others: Readonly<Record<string, number>> = {},
    { interval = "300ms", rules = [] }: { interval?: string; rules?: readonly string[] } = {},
  ): Promise<PrometheusServer> {
    const directory = mkdtempSync(join(tmpdir(), "taskora-prometheus-"))
    const config = join(directory, "prometheus.yml")
    const addresses = (ports: readonly number[]) => ports.map((port) => `"127.0.0.1:${port}"`).join(", ")
    for (const [i, text] of rules.entries()) writeFileSync(join(directory, `rules-${i}.yml`), text)
    writeFileSync(
      config,
      [
        `global: { scrape_interval: ${interval}, scrape_timeout: ${interval}, evaluation_interval: ${interval} }`,
        'rule_files: ["rules-*.yml"]',
        "scrape_configs:",
        "  - job_name: taskora",
        `    static_configs: [{ targets: [${addresses(targets)}] }]`,
        ...Object.entries(others).flatMap(([name, port]) => [
          `  - job_name: ${name}`,
          "    honor_labels: true",
          `    static_configs: [{ targets: [${addresses([port])}] }]`,
        ]),
      ].join("\n"),
    )
    const port = await freePort()
    const child = spawn(
      "prometheus",
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(directory, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--enable-feature=exemplar-storage",
        "--log.level=error",
      ],
      { stdio: "ignore" },
    )
    const server = new PrometheusServer(child, directory, `http://127.0.0.1:${port}`)
    await server.#until(async () => (await fetch(`${server.url}/-/ready`)).ok)
    await server.query(`sum(up) == ${targets.length + Object.keys(others).length}`)
    return server
  }

  /** One call of its HTTP API, repeated until the answer is to the caller's liking. */
  async ask<T>(path: string, enough: (data: T) => boolean): Promise<T> {
    let last: T | undefined
    await this.#until(async () => {
      const answer = (await (await fetch(`${this.url}/api/v1/${path}`)).json()) as { data: T }
      last = answer.data
      return enough(last)
    })
    return last as T
  }

  /** The value of an instant query, once there is one. */
  async query(promql: string): Promise<number> {
    const path = `query?query=${encodeURIComponent(promql)}`
    const { result } = await this.ask<{ result: { value: [number, string] }[] }>(
      path,
      (data) => data.result.length > 0,
    )
    return Number(result[0]?.value[1])
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#process.once("exit", resolve))
    if (this.#process.exitCode === null) {
      this.#process.kill("SIGKILL")
      await exited
    }
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #until(done: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 20_000
    // A refused connection only says that it is not up yet.
    while (!(await done().catch(() => false))) {
      if (performance.now() > deadline) throw new Error("Prometheus did not get there within 20 s")
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}
