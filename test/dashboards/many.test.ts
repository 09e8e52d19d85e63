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
import { counters, gauges, histograms, prometheusName } from "../../exporters/catalogue.ts"
import { findProgram } from "../support/prometheus-server.ts"
import { substitute } from "./dashboards.ts"

const promtool = findProgram(["promtool"], "--version")

interface App {
  /** "": none, and then there is no such label. */
  readonly prefix: string
  readonly tasks: number
  readonly instances: number
}

/** At the tenth minute, every task: 3 waiting, 1 active, 60 completed and 20 failed a minute, waiting since 100 s + n. */
function seriesOf({ prefix, tasks, instances }: App): { series: string; values: string }[] {
  const series: { series: string; values: string }[] = []
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
  const from = new PromQL(panelScope("many"))
  const file = join(mkdtempSync(join(tmpdir(), "taskora-many-")), "test.json")
  const tests = expected.map(({ query, prefix = ".*", task = ".*", count, value }) => {
    const expr = substitute(query.promql(from), { $prefix: prefix, $task: task, $__rate_interval: "5m" })
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
    tests: [{ interval: "1m", input_series: apps.flatMap(seriesOf), promql_expr_test: tests }],
  }
  writeFileSync(file, JSON.stringify(document))
  const { status, stdout, stderr } = spawnSync(promtool ?? "", ["test", "rules", file], { encoding: "utf8" })
  rmSync(join(file, ".."), { recursive: true })
  return status === 0 ? "as expected" : `${stdout}${stderr}`
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

  test("are seen to be wrong where they are", () => {
    const apps = [{ prefix: "a", tasks: 2, instances: 2 }]
    expect(evaluate(apps, [{ query: queue.depth, value: 12 }])).toContain("FAILED")
  })
})
