import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { PromQL } from "../../dashboards/promql.ts"
import * as jobs from "../../dashboards/queries/jobs.ts"
import * as queue from "../../dashboards/queries/queue.ts"
import * as time from "../../dashboards/queries/time.ts"
import * as workers from "../../dashboards/queries/workers.ts"
import type { Query } from "../../dashboards/query.ts"
import { panelScope } from "../../dashboards/render/variables.ts"
import { counters, gauges, histograms, type Instrument, prometheusName } from "../../exporters/catalogue.ts"
import { findProgram } from "../support/prometheus-server.ts"
import { substitute } from "./dashboards.ts"

const promtool = findProgram(["promtool"], "--version")

interface App {
  /** "": none, and then there is no such label. */
  readonly prefix: string
  readonly tasks: number
  readonly instances: number
}

interface Series {
  readonly series: string
  readonly values: string
}

/** At the tenth minute, every task: 3 waiting, 1 active, 60 completed and 20 failed a minute, waiting since 100 s + n. */
function seriesOf({ prefix, tasks, instances }: App): Series[] {
  const series: Series[] = []
  for (let i = 0; i < instances; i++)
    for (let n = 0; n < tasks; n++) {
      const target = `job="app",instance="${prefix}-${i}"${prefix === "" ? "" : `,prefix="${prefix}"`}`
      const labels = `${target},task="t.${n}"`
      const add = (name: string, more: string, values: string) =>
        series.push({ series: `${name}{${labels}${more}}`, values })
      const moved = prometheusName(counters.clusterTransitions)
      add(moved, ',transition="completed"', "0+60x20")
      add(moved, ',transition="failed"', "0+20x20")
      add(prometheusName(gauges.queueJobs), ',state="waiting"', "3+0x20")
      add(prometheusName(gauges.queueJobs), ',state="active"', "1+0x20")
      add(prometheusName(gauges.queueOldest), "", `${500 - n - (prefix === "b" ? 100 : 0)}+0x20`)
      add(prometheusName(gauges.workerSlots), ',state="busy"', "1+0x20")
      add(prometheusName(gauges.workerSlots), ',state="idle"', "3+0x20")
      const duration = prometheusName(histograms.jobDuration)
      add(`${duration}_bucket`, ',outcome="completed",le="1"', "0+60x20")
      add(`${duration}_bucket`, ',outcome="completed",le="+Inf"', "0+60x20")
      if (n === 0) series.push({ series: `${prometheusName(gauges.workers)}{${target}}`, values: "2+0x20" })
    }
  return series
}

interface Expected {
  readonly query: Query
  readonly prefix?: string
  readonly task?: string
  /** Wraps the query: how many series, rather than their values. */
  readonly count?: true
  readonly value: number
}

function evaluate(apps: readonly App[], expected: readonly Expected[]): string {
  return evaluateOf(apps.flatMap(seriesOf), expected)
}

function evaluateOf(series: readonly Series[], expected: readonly Expected[]): string {
  const from = new PromQL(panelScope("many"))
  const file = join(mkdtempSync(join(tmpdir(), "taskora-many-")), "test.json")
  const tests = expected.map(({ query, prefix = ".*", task = ".*", count, value }) => {
    const expr = substitute(query.promql(from), {
      $prefix: prefix,
      $task: task,
      $__rate_interval: "5m",
      $__range: "10m",
    })
    return {
      // Sums of many have a last digit of their own.
      expr: count ? `count(${expr})` : `round(${expr}, 0.01)`,
      eval_time: "10m",
      exp_samples: [{ labels: "{}", value: Math.round(value * 100) / 100 }],
    }
  })
  const document = {
    rule_files: [],
    evaluation_interval: "1m",
    tests: [{ interval: "1m", input_series: series, promql_expr_test: tests }],
  }
  writeFileSync(file, JSON.stringify(document))
  const { status, stdout, stderr } = spawnSync(promtool ?? "", ["test", "rules", file], { encoding: "utf8" })
  rmSync(join(file, ".."), { recursive: true })
  return status === 0 ? "as expected" : `${stdout}${stderr}`
}

/** An increase extrapolates. */
function rounded({ promql }: Query): Query["promql"] {
  return (from) => `round(${promql(from)})`
}

describe.skipIf(!promtool)("the dashboards", { timeout: 120_000 }, () => {
  test("work for one app without a prefix, with one task in one process", () => {
    const answer = evaluate(
      [{ prefix: "", tasks: 1, instances: 1 }],
      [
        { query: queue.depth, value: 3 },
        { query: queue.oldest, value: 100 },
        { query: queue.workers, value: 2 },
        { query: jobs.throughput, value: 80 / 60 },
        { query: jobs.failureRatio, value: 0.25 },
        { query: workers.busyRatio, value: 0.25 },
        { query: queue.depthByTask, count: true, value: 1 },
      ],
    )
    expect(answer).toBe("as expected")
  })

  test("work for two apps that share task names, of 300 tasks and in several processes", () => {
    const answer = evaluate(
      [
        { prefix: "a", tasks: 300, instances: 2 },
        { prefix: "b", tasks: 300, instances: 2 },
      ],
      [
        // Of both: the cluster's facts once each, the processes' added up.
        { query: queue.depth, value: 2 * 300 * 3 },
        { query: queue.depth, prefix: "b", value: 300 * 3 },
        { query: queue.depth, prefix: "a|b", task: "t\\\\.1", value: 2 * 3 },
        { query: queue.oldest, value: 100 + 299 + 100 },
        { query: queue.oldest, prefix: "a", value: 100 + 299 },
        { query: queue.oldest, task: "t\\\\.0", value: 200 },
        { query: queue.workers, value: 4 },
        { query: workers.totalSlots, value: 2 * 2 * 300 * 4 },
        { query: jobs.throughput, value: (2 * 300 * 80) / 60 },
        { query: jobs.failureRatio, value: 0.25 },
        // No panel drowns in lines.
        { query: queue.depthByTask, count: true, value: 20 },
        { query: queue.oldestByTask, count: true, value: 20 },
        { query: jobs.completedByTask, count: true, value: 20 },
        { query: jobs.failedByTask, count: true, value: 20 },
        { query: workers.busyByTask, count: true, value: 20 },
        { query: jobs.failureRatioByTask, count: true, value: 10 },
        { query: time.slowest, count: true, value: 10 },
      ],
    )
    expect(answer).toBe("as expected")
  })

  test("see workers start before their first scrape, and go without a last one", () => {
    const started = (instance: string, values: string) => ({
      series: `${prometheusName(gauges.workerStart)}{job="app",instance="${instance}"}`,
      values,
    })
    const answer = evaluateOf(
      [
        started("stays", "100+0x20"),
        started("comes", "_x8 480+0x11"),
        started("goes", "100+0x7 stale"),
        started("is started again", "100+0x7 470+0x12"),
      ],
      [
        { query: workers.starts, value: 2 },
        { query: workers.gone, value: 2 },
      ],
    )
    expect(answer).toBe("as expected")
    const quiet = evaluateOf(
      [started("stays", "100+0x20")],
      [
        { query: workers.starts, value: 0 },
        { query: workers.gone, value: 0 },
      ],
    )
    expect(quiet).toBe("as expected")
  })

  test("count the stalls on both sides of a deploy, and those of which only the store's count tells", () => {
    const of = (counter: Instrument, instance: string, values: string) => ({
      series: `${prometheusName(counter)}{job="app",instance="${instance}",task="t"${counter.cluster ? ',transition="stalled_recovered"' : ',action="recovered"'}}`,
      values,
    })
    const { clusterTransitions, jobsStalled } = counters
    const deploy = evaluateOf(
      [
        of(clusterTransitions, "old", "0x2 4+0x1 stale"),
        of(jobsStalled, "old", "0x2 4+0x1 stale"),
        of(clusterTransitions, "new", "_x5 4+0x1 7+0x10"),
        of(jobsStalled, "new", "_x5 0+0x1 3+0x10"),
      ],
      // Four and three, and what an increase makes of few samples.
      [{ query: { ...jobs.stalls, promql: rounded(jobs.stalls) }, value: 8 }],
    )
    expect(deploy).toBe("as expected")
    const killed = evaluateOf(
      [
        of(clusterTransitions, "web", "0x4 5+0x10"),
        of(clusterTransitions, "new", "_x5 5+0x10"),
        of(jobsStalled, "new", "_x5 5+0x10"),
      ],
      [{ query: { ...jobs.stalls, promql: rounded(jobs.stalls) }, value: 5 }],
    )
    expect(killed).toBe("as expected")
  })

  test("are seen to be wrong where they are", () => {
    const apps = [{ prefix: "a", tasks: 2, instances: 2 }]
    expect(evaluate(apps, [{ query: queue.depth, value: 12 }])).toContain("FAILED")
  })
})
