import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { version } from "../../src/version.ts"
import { invariants, type Violation } from "./evidence.ts"
import type { Strike, TrialResult } from "./trial.ts"

interface Kind {
  readonly group: string
  landed: number
  longestMs: number
}

/** Gathers what a soak has shown. */
export class SoakReport {
  trials = 0
  landed = 0
  failed = false
  readonly #kinds = new Map<string, Kind>()
  readonly #reruns = new Map<string, number>()
  readonly #violations: (Violation & { readonly seed: number })[] = []
  readonly #broken: string[] = []
  #longest = { fault: "", ms: 0 }
  #jobs = 0
  #transitions = 0
  #processes = 0
  readonly #startedAt = new Date()
  readonly #from = performance.now()

  constructor(private readonly run: { readonly seed: number; readonly command: string }) {}

  strike(seed: number, { fault, group, landed, text, tookMs, recoveredMs }: Strike): void {
    console.log(
      `trial ${seed}: ${fault}: ${landed ? "landed" : "did not land"}: ${text} (${tookMs} ms, recovered in ${recoveredMs} ms)`,
    )
    if (!landed) {
      const reason = `${fault}: ${text.replace(/\b(worker|dispatcher|listener|job )\w+\b/g, "$1")}`
      this.#reruns.set(reason, (this.#reruns.get(reason) ?? 0) + 1)
      return
    }
    this.landed++
    const kind = this.#kinds.get(fault) ?? { group, landed: 0, longestMs: 0 }
    kind.landed++
    kind.longestMs = Math.max(kind.longestMs, recoveredMs ?? 0)
    this.#kinds.set(fault, kind)
    if ((recoveredMs ?? 0) > this.#longest.ms) this.#longest = { fault, ms: recoveredMs ?? 0 }
  }

  ended(result: TrialResult): void {
    this.trials++
    this.#jobs += result.jobs
    this.#transitions += result.evidence.tasks.reduce((sum, { lines }) => sum + lines.length, 0)
    this.#processes += result.evidence.pods.length
    console.log(
      `trial ${result.seed} ended: ${result.jobs} jobs, ${result.strikes.filter(({ landed }) => landed).length} faults, ${result.violations.length} violations; ${this.landed} faults in all`,
    )
    if (result.violations.length === 0) return
    this.failed = true
    for (const violation of result.violations.slice(0, 40)) {
      this.#violations.push({ ...violation, seed: result.seed })
      console.log(`VIOLATION ${violation.invariant}: ${violation.text}`)
    }
    console.log(`ledgers are kept in ${result.directory}; repeat it by --trial ${result.seed}`)
  }

  /** The harness itself could not go on. */
  broke(seed: number, error: unknown): void {
    this.failed = true
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#broken.push(`trial ${seed}: ${text}`)
    console.log(`trial ${seed} broke: ${text}`)
  }

  text(): string {
    const minutes = (performance.now() - this.#from) / 60_000
    const kinds = [...this.#kinds].sort(
      ([a, x], [b, y]) => x.group.localeCompare(y.group) || a.localeCompare(b),
    )
    const rows = kinds.map(
      ([name, { group, landed, longestMs }]) => `| ${group} | ${name} | ${landed} | ${longestMs} |`,
    )
    const reruns = [...this.#reruns].sort(([, a], [, b]) => b - a).map(([why, n]) => `| ${n} | ${why} |`)
    const counts = invariants.map((name) => {
      const n = this.#violations.filter(({ invariant }) => invariant === name).length
      return `| ${name} | ${n} |`
    })
    return `${[
      "# Soak",
      "",
      "Written by the soak itself. It repeats with:",
      "",
      "```",
      this.run.command,
      "```",
      "",
      `- Date: ${this.#startedAt.toISOString().slice(0, 10)}`,
      `- Seed: ${this.run.seed}`,
      `- Versions: Node.js ${process.version}, ${redisVersion()}, Taskora ${version}`,
      `- Length: ${minutes.toFixed(1)} minutes, ${this.trials} trials, ${this.#processes} processes`,
      `- Jobs: ${this.#jobs}, with ${this.#transitions} lines in the event streams`,
      `- Faults that provably landed: ${this.landed}`,
      `- Longest recovery, from healing to the end of a job dispatched after it: ${this.#longest.ms} ms (${this.#longest.fault})`,
      `- Violations: ${this.#violations.length}; trials that broke: ${this.#broken.length}`,
      "",
      "## Violations by invariant",
      "",
      "| invariant | violations |",
      "| --- | --- |",
      ...counts,
      "",
      "## Faults by kind",
      "",
      "| group | fault | landed | longest recovery, ms |",
      "| --- | --- | --- | --- |",
      ...rows,
      "",
      "## Faults that missed their window and were struck again",
      "",
      ...(reruns.length === 0 ? ["None."] : ["| times | fault and reason |", "| --- | --- |", ...reruns]),
      ...(this.#broken.length === 0 ? [] : ["", "## Broken trials", "", ...this.#broken]),
      "",
    ].join("\n")}`
  }

  write(path: string): void {
    writeFileSync(path, this.text())
  }
}

function redisVersion(): string {
  const text = execFileSync("redis-server", ["--version"], { encoding: "utf8" })
  return `Redis ${/v=([\d.]+)/.exec(text)?.[1]}`
}
