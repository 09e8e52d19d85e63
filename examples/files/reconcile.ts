import { setTimeout as pause } from "node:timers/promises"
import type { App, TaskStats } from "../../src/index.ts"
import { count, styled, table } from "./format.ts"
import { Metrics } from "./scrape.ts"
import type { Tally } from "./tally.ts"

/** One fact in all its versions; those that a source does not know are undefined. */
interface Row {
  readonly what: string
  /** Counted by this program: in this process, then by the events of all processes. */
  readonly here: number
  readonly all?: number
  /** On /metrics: this process's counter, then the cluster's. */
  readonly metric: number
  readonly cluster?: number
  /** `inspect().stats()` */
  readonly store?: number
}

interface Outcome {
  readonly agrees: boolean
  readonly text: string
}

const tries = 6
const pauseMs = 500

/**
 * Holds this program's own numbers against those on /metrics and in the store. The cluster's numbers on /metrics may be
 * a second old, so it looks again until they agree, for a while.
 */
export async function reconcile(taskora: App, tally: Tally, url: string): Promise<Outcome> {
  for (let left = tries; ; left--) {
    const metrics = await Metrics.scrape(url)
    const rows = compare(tally, metrics, await taskora.inspect().stats())
    const agrees = rows.every(agree)
    if (agrees || left === 0) return { agrees, text: render(rows, agrees) }
    await pause(pauseMs)
  }
}

function compare(tally: Tally, metrics: Metrics, stats: TaskStats): Row[] {
  const { here, everywhere } = tally
  const counter = (name: string) => metrics.sum(`taskora_${name}_total`)
  const both = (...names: (keyof TaskStats["transitions"])[]) => ({
    cluster: metrics.sum("taskora_cluster_transitions_total", "transition", names),
    store: names.reduce((sum, name) => sum + stats.transitions[name], 0),
  })
  const row = (what: string, counts: [number, number], name: string, cluster: ReturnType<typeof both>) => ({
    what,
    here: counts[0],
    all: counts[1],
    metric: counter(name),
    ...cluster,
  })
  return [
    row("jobs dispatched", [tally.dispatched, tally.dispatched], "jobs_dispatched", both("dispatched")),
    { what: "dispatches rejected", here: tally.rejected, metric: counter("jobs_rejected") },
    row("attempts started", [tally.runs, everywhere.active], "attempts_started", both("started")),
    row("jobs completed", [here.completed, everywhere.completed], "jobs_completed", both("completed")),
    row("attempts failed", [here.failed, everywhere.failed], "attempts_failed", both("attempts_failed")),
    ...errorRows(tally, metrics),
    row("retries", [here.retrying, everywhere.retrying], "jobs_retried", both("retried")),
    row("jobs failed for good", [here.gone, everywhere.gone], "jobs_failed", both("failed")),
    row(
      "jobs cancelled",
      [here.cancelled, everywhere.cancelled],
      "jobs_cancelled",
      both("cancelled_waiting", "cancelled_delayed", "cancelled_active"),
    ),
    row(
      "jobs stalled",
      [here.stalled, everywhere.stalled],
      "jobs_stalled",
      both("stalled_recovered", "stalled_failed"),
    ),
    { what: "progress reports", here: here.progress, metric: counter("job_progress_reports") },
  ]
}

/** Failed attempts by the class of what handlers threw. */
function errorRows({ thrown }: Tally, metrics: Metrics): Row[] {
  const name = "taskora_attempts_failed_total"
  const types = new Set([...thrown.keys(), ...metrics.values(name, "error_type")])
  return [...types].sort().map((type) => ({
    what: `  by ${type}`,
    here: thrown.get(type) ?? 0,
    metric: metrics.sum(name, "error_type", [type]),
  }))
}

function agree({ here, metric, all, cluster, store }: Row): boolean {
  return here === metric && all === cluster && all === store
}

function render(rows: readonly Row[], agrees: boolean): string {
  const shown = (value: number | undefined) => (value === undefined ? "" : count(value))
  const lines = rows.map((row) => [
    row.what,
    shown(row.here),
    shown(row.metric),
    shown(row.all),
    shown(row.cluster),
    shown(row.store),
    agree(row) ? "=" : "DIFFERS",
  ])
  const heading = ["", "counted here", "/metrics", "counted of all", "/metrics cluster", "stats()", ""]
  const numbers = rows.flatMap((row) => Object.values(row)).filter((value) => typeof value === "number")
  const verdict = agrees
    ? styled("green", `reconciled: all ${numbers.length} numbers agree`)
    : styled(
        "red",
        `NOT reconciled: ${rows
          .filter((row) => !agree(row))
          .map((row) => row.what.trim())
          .join(", ")}`,
      )
  return `${table(heading, lines)}\n\n${verdict}`
}
