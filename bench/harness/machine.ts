import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { cpus, loadavg, release, totalmem } from "node:os"

/** Where and with what it was measured. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  readonly versions: Readonly<Record<string, string>>
  /** Of the last minute, when the bench began: above 1, others were at work. */
  readonly load: number
}

export function describeMachine(): Machine {
  const [redis] = /v=[\d.]+/.exec(execFileSync("redis-server", ["--version"], { encoding: "utf8" })) ?? [""]
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    versions: {
      node: process.versions.node,
      redis: redis.slice(2),
      bullmq: versionOf("bullmq"),
      "bullmq-otel": versionOf("bullmq-otel"),
      ioredis: versionOf("ioredis"),
      "sdk-trace-node": versionOf("@opentelemetry/sdk-trace-node"),
    },
    load: loadNow(),
  }
}

export function loadNow(): number {
  return Math.round(loadavg()[0]! * 100) / 100
}

const require = createRequire(import.meta.url)

/** From the package's own file, which not every package lets be imported. */
function versionOf(name: string): string {
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const text = readFileSync(`${folder}/${name}/package.json`, "utf8")
      return (JSON.parse(text) as { version: string }).version
    } catch {
      // Not installed here; the next folder may have it.
    }
  }
  return "missing"
}
