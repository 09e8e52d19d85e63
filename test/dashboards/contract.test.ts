import { readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { boards } from "../../dashboards/boards.ts"
import { PromQL, type Scope } from "../../dashboards/promql.ts"
import { parkedJobs, pausedTasks } from "../../dashboards/queries/control.ts"
import { attemptsPerJob, failureRatio, stalls, throughput } from "../../dashboards/queries/jobs.ts"
import { depth, drain, oldest } from "../../dashboards/queries/queue.ts"
import { next } from "../../dashboards/queries/schedules.ts"
import { durationMap, durations, waitMap } from "../../dashboards/queries/time.ts"
import { starts } from "../../dashboards/queries/workers.ts"
import {
  active as workflowsActive,
  failureRatio as workflowsFailing,
} from "../../dashboards/queries/workflows.ts"
import type { Query } from "../../dashboards/query.ts"
import { panelScope } from "../../dashboards/render/variables.ts"
import { recordings } from "../../dashboards/rules/recording.ts"
import { counters, gauges, histograms, prometheusName } from "../../exporters/catalogue.ts"
import { until } from "../support/hosts.ts"
import { OtlpExposition } from "../support/otlp-exposition.ts"
import { buildProgram, type Program } from "../support/program.ts"
import { findProgram, PrometheusServer } from "../support/prometheus-server.ts"
import { redisAvailable, startRedis } from "../support/redis-server.ts"
import { root } from "../support/repository.ts"
import type { Deed } from "./app.ts"
import { substitute } from "./dashboards.ts"
import { Runner } from "./runner.ts"

type Labels = Readonly<Record<string, string>>
interface Series {
  readonly metric: Labels
  readonly value: readonly [number, string]
}

const here = findProgram(["prometheus"], "--version") !== undefined && redisAvailable()
const prefix = "shop"
/** Longer than the workload takes, so that all of it is in every window. */
const windowSeconds = 900
const jobs = ["taskora", "pushed"]

function parsed(value: string | undefined): number {
  return value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value ?? Number.NaN)
}

/** The committed rules, in a hurry: what takes minutes there takes seconds here, and nothing else is changed. */
function hurried(file: string): string {
  const windows: Readonly<Record<string, string>> = { "5m": "10s", "10m": "15s", "15m": "20s" }
  return readFileSync(join(root, "dashboards/prometheus", file), "utf8")
    .replace(/\[(\w+)\]/g, (_, range: string) => `[${windows[range] ?? "30s"}]`)
    .replace(/for: (?!0m)\w+/g, "for: 1s")
    .replace(/(:age) > \d+/, "$1 > 5")
}

/** What the workload did; every handler's deed is counted here, and nothing is taken from the metrics. */
const rounds = 12
const mails: readonly Deed[] = [...Array(10).fill("return"), "fail", "fail", "fail", "flaky", "flaky", "odd"]
const done = {
  mailCompleted: rounds * 12,
  mailFailed: rounds * 4,
  mailAttemptsFailed: rounds * (3 * 2 + 2 + 2),
  mailRetried: rounds * 6,
  bulk: 300,
  /** Of each of two tasks, whose workers are killed one after the other. */
  held: 4,
  orphans: 5,
  parked: 3,
  /** Those that complete; as many fail. */
  workflows: rounds,
}

describe.skipIf(!here)("a workload of real processes, and a real Prometheus", () => {
  let redis: Awaited<ReturnType<typeof startRedis>>
  let exposition: OtlpExposition
  let program: Program
  let app: Runner
  let victims: Readonly<Record<string, Runner>> = {}
  /** Tells of the same cluster to the end: its facts must not count twice. */
  let bystander: Runner
  let server: PrometheusServer
  /** The moment of which all is asked, after all came to rest. */
  let at = 0
  const orphaned = { from: 0, to: 0 }
  const burst = { from: 0, to: 0 }

  async function ask(expr: string, time = at): Promise<Series[]> {
    const query = new URLSearchParams({ query: expr, ...(time === 0 ? {} : { time: String(time) }) })
    const response = await fetch(`${server.url}/api/v1/query?${query}`)
    const answer = (await response.json()) as { error?: string; data?: { result: Series[] } }
    if (answer.data === undefined) throw new Error(`${answer.error}: ${expr}`)
    return answer.data.result
  }

  async function number(expr: string, time = at): Promise<number> {
    const [series] = await ask(expr, time)
    return parsed(series?.value[1])
  }

  function asked(query: Query, tasks: string, job = "taskora"): string {
    const scope: Scope = panelScope("many")
    return filled(query.promql(new PromQL(scope)), tasks, job)
  }

  function filled(expr: string, tasks: string, job: string): string {
    const window = `${windowSeconds}s`
    return substitute(expr, {
      $__rate_interval: window,
      $__range: window,
      $job: job,
      $prefix: prefix,
      $task: tasks,
    })
  }

  /** Time to drain as the panel says it, over four seconds, and worked out here from the same samples. */
  async function drainAt(now: number): Promise<{ said: number; own: number }> {
    const waiting = asked(depth, "bulk")
    const said = await number(asked(drain, "bulk").replace("[5m:15s]", "[4s:1s]"), now)
    const range = new URLSearchParams({
      query: waiting,
      start: String(now - 4),
      end: String(now),
      step: "1",
    })
    const { data } = (await (await fetch(`${server.url}/api/v1/query_range?${range}`)).json()) as {
      data: { result: { values: [number, string][] }[] }
    }
    const points = (data.result[0]?.values ?? []).map(([t, value]) => [t - now, Number(value)] as const)
    const mean = (of: (point: readonly [number, number]) => number) =>
      points.reduce((sum, point) => sum + of(point), 0) / points.length
    const [t, y] = [mean(([x]) => x), mean(([, value]) => value)]
    const slope = mean(([x, value]) => (x - t) * (value - y)) / mean(([x]) => (x - t) ** 2)
    return { said, own: (points.at(-1)?.[1] ?? 0) / Math.max(-slope, 0) }
  }

  async function work(): Promise<void> {
    for (const [task, victim] of Object.entries(victims)) {
      await victim.order({ op: "held", count: done.held })
      await until(async () => victim.held === done.held, "the victim holds its jobs", 30_000)
      await sleep(2000)
      await victim.kill()
      await app.order({ op: "take over", task })
      const stalled = `${prometheusName(counters.jobsStalled)}{task="${task}"}`
      for (const job of jobs)
        await until(
          async () => (await number(`sum(${stalled.replace("}", `,job="${job}"}`)})`, 0)) === done.held,
          `${job} tells of the stalls of ${task}`,
          60_000,
        )
    }
    orphaned.from = Date.now() / 1000
    await app.order({ op: "orphans", count: done.orphans })
    orphaned.to = Date.now() / 1000
    await app.order({ op: "hold then cancel" })
    await app.order({ op: "cancel a delayed one" })
    await app.order({ op: "reject" })
    await app.order({ op: "flow control", parked: done.parked })
    await app.order({ op: "cancel a workflow" })
    const stream = async () => {
      for (let round = 0; round < rounds; round++) {
        await app.order({ op: "mails", deeds: mails })
        await app.order({ op: "workflows", each: done.workflows / rounds })
        await sleep(500)
      }
    }
    burst.from = Date.now() / 1000
    await Promise.all([
      stream(),
      app.order({ op: "bulk", count: done.bulk }).then(() => {
        burst.to = Date.now() / 1000
      }),
    ])
    await app.order({ op: "stop the ticks" })
  }

  beforeAll(async () => {
    if (!here) return
    redis = await startRedis()
    exposition = await OtlpExposition.start()
    program = await buildProgram(join(import.meta.dirname, "app.ts"))
    app = new Runner(program, { url: redis.url, prefix, endpoint: exposition.endpoint })
    victims = {
      fragile: new Runner(program, { url: redis.url, prefix, holds: "fragile" }),
      brittle: new Runner(program, { url: redis.url, prefix, holds: "brittle" }),
    }
    bystander = new Runner(program, {
      url: redis.url,
      prefix,
      knows: ["mail", "bulk", "orphans", "fragile", "brittle"],
    })
    const ports = await Promise.all(
      [app, bystander, ...Object.values(victims)].map((runner) => runner.port()),
    )
    server = await PrometheusServer.start(
      ports,
      { pushed: exposition.port },
      { interval: "1s", rules: [hurried("taskora.rules.yml"), hurried("taskora.alerts.yml")] },
    )
    await until(
      async () => (await ask("taskora_store_up{job='pushed'}", 0)).length > 0,
      "OTLP arrives",
      30_000,
    )
    await sleep(2500)
    await work()
    const counted = "mail|bulk|fragile|brittle"
    const total = done.mailCompleted + done.bulk + 2 * done.held
    for (const job of jobs)
      await until(
        async () =>
          (await number(`sum(taskora_jobs_completed_total{job="${job}",task=~"${counted}"})`, 0)) === total,
        `${job} tells of every completion`,
        60_000,
      )
    // The subquery of the panel needs two of its steps.
    for (const job of jobs)
      await until(
        async () => (await ask(asked(drain, "orphans", job), 0)).length > 0,
        "a slope is known",
        60_000,
      )
    await sleep(2500)
    at = Date.now() / 1000
  }, 240_000)
  afterAll(async () => {
    await app?.kill()
    await bystander?.kill()
    for (const victim of Object.values(victims)) await victim.kill()
    await server?.stop()
    await exposition?.stop()
    await redis?.stop()
    program?.remove()
  }, 60_000)

  describe.each(jobs)("the job %s", (job) => {
    const of = `job="${job}",prefix="${prefix}"`

    test("counts exactly what happened", async () => {
      const mail = `${of},task="mail"`
      const sum = (name: string, labels = mail) => number(`sum(${name}{${labels}})`)
      expect(await sum(prometheusName(counters.jobsCompleted))).toBe(done.mailCompleted)
      expect(await sum(prometheusName(counters.jobsFailed))).toBe(done.mailFailed)
      expect(await sum(prometheusName(counters.attemptsFailed))).toBe(done.mailAttemptsFailed)
      expect(await sum(prometheusName(counters.jobsRetried))).toBe(done.mailRetried)
      expect(await sum(prometheusName(counters.jobsCancelled))).toBe(2)
      expect(await sum(prometheusName(counters.jobsRejected))).toBe(1)
      expect(await sum(`${prometheusName(histograms.jobAttempts)}_sum`)).toBe(
        // Two attempts each of what is retried, one of what returns, and one that was cancelled.
        rounds * (10 + 2 * 6) + 1,
      )
      expect(await sum(prometheusName(counters.jobsStalled), `${of},task="fragile"`)).toBe(done.held)
      const moved = (transition: string, task: string) =>
        number(
          `max(${prometheusName(counters.clusterTransitions)}{${of},task="${task}",transition="${transition}"})`,
        )
      expect(await moved("completed", "mail")).toBe(done.mailCompleted)
      expect(await moved("failed", "mail")).toBe(done.mailFailed)
      expect(await moved("completed", "bulk")).toBe(done.bulk)
      expect(await moved("started", "fragile")).toBe(2 * done.held)
      expect(await moved("stalled_recovered", "brittle")).toBe(done.held)
      expect(await moved("dispatched", "orphans")).toBe(done.orphans)
    })

    test("counts what flow control, schedules and workflows did", async () => {
      const sum = (name: string, labels = of) => number(`sum(${name}{${labels}})`)
      expect(await sum(prometheusName(counters.workflowsStarted))).toBe(2 * done.workflows + 1)
      expect(await sum(prometheusName(counters.workflowsCompleted))).toBe(done.workflows)
      expect(await sum(prometheusName(counters.workflowsFailed))).toBe(done.workflows)
      expect(await sum(prometheusName(counters.workflowsCancelled))).toBe(1)
      expect(await sum(prometheusName(counters.jobsExpired))).toBe(1)
      expect(await sum(prometheusName(counters.jobsRevived))).toBe(1)
      expect(await sum(prometheusName(counters.jobsRejected), `${of},reason="throttled"`)).toBe(1)
      expect(await number(asked(parkedJobs, ".*", job))).toBe(done.parked)
      expect(await number(asked(pausedTasks, ".*", job))).toBe(1)
      expect(await number(asked(workflowsActive, ".*", job))).toBe(0)
      near(await number(asked(workflowsFailing, ".*", job)), 0.5)
      const waits = await ask(asked(next, ".*", job))
      expect(waits.map(({ metric }) => metric.schedule)).toEqual(["hourly"])
      const wait = parsed(waits[0]?.value[1])
      expect(wait).toBeGreaterThan(3000)
      expect(wait).toBeLessThan(3600)
      const fired = await sum(`${prometheusName(histograms.scheduleLateness)}_count`)
      const ticks = await sum(prometheusName(counters.jobsCompleted), `${of},task="tick"`)
      expect(fired).toBeGreaterThan(5)
      expect(ticks).toBe(fired)
    })

    const everything = boards.flatMap((board) =>
      board.rows.flatMap((row) =>
        row.panels.flatMap((panel) =>
          panel.queries.map((query) => ({
            name: `${board.title}: ${panel.title}, ${query.legend}`,
            expr: query.promql(new PromQL(panelScope(board.tasks))),
            task: board.tasks === "one" ? "mail" : ".*",
          })),
        ),
      ),
    )

    test("has an answer to every question of every panel", async () => {
      expect(everything.length).toBeGreaterThan(110)
      const silent: string[] = []
      for (const { name, expr, task } of everything) {
        const series = await ask(filled(expr, task, job))
        const sound = series.some(({ value }) => value[1] !== "NaN")
        if (!sound) silent.push(`${name}: ${series.length === 0 ? "nothing" : "NaN"}: ${expr}`)
      }
      expect(silent).toEqual([])
    }, 120_000)

    test("says in each legend what its series are", async () => {
      for (const { name, expr, task } of everything) {
        const { legend } = { legend: name.split(", ").at(-1) ?? "" }
        const wanted = [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!)
        for (const { metric } of await ask(filled(expr, task, job)))
          for (const label of wanted) expect(Object.keys(metric), name).toContain(label)
      }
    }, 120_000)

    /** What an increase makes of a number of events: it extrapolates. */
    function near(value: number, truth: number): void {
      expect(value).toBeGreaterThan(truth * 0.8)
      expect(value).toBeLessThan(truth * 1.2)
    }

    test("shows plausible numbers", async () => {
      const ended = done.mailCompleted + done.mailFailed + 2
      near((await number(asked(throughput, "mail", job))) * windowSeconds, ended)
      near(
        await number(asked(failureRatio, "mail", job)),
        done.mailFailed / (done.mailFailed + done.mailCompleted),
      )
      near(await number(asked(stalls, ".*", job)), 2 * done.held)
      expect(await number(asked(starts, ".*", job))).toBeGreaterThanOrEqual(1)
      near(await number(asked(attemptsPerJob, "mail", job)), (rounds * 22 + 1) / (rounds * 16 + 1))
      expect(await number(asked(depth, ".*", job))).toBe(done.orphans)
      const age = await number(asked(oldest, ".*", job))
      expect(age).toBeGreaterThan(at - orphaned.to - 0.1)
      expect(age).toBeLessThan(at - orphaned.from + 0.1)
      expect(await number(asked(drain, "mail", job))).toBe(0)
      expect(await number(asked(drain, "orphans", job))).toBe(Number.POSITIVE_INFINITY)
    })

    test("finds the percentile in the bucket where the handlers' own clocks find it", async () => {
      const took = (await app.order({ op: "how long it took" })) as number[]
      expect(took).toHaveLength(done.mailCompleted)
      // A histogram is born with its first records, and those are in no rate: the first rounds may be missing.
      const truths = Array.from({ length: took.length / 4 }, (_, born) => {
        const rest = took.slice(born).sort((a, b) => a - b)
        return rest[Math.ceil(rest.length * 0.95) - 1]! / 1000
      })
      const bounds = [0, ...histograms.jobDuration.buckets, Number.POSITIVE_INFINITY]
      const place = (truth: number) => bounds.findIndex((bound) => truth <= bound)
      const said = await number(asked(durations[1]!, "mail", job))
      expect(said).toBeGreaterThanOrEqual(bounds[place(Math.min(...truths)) - 1]!)
      // The measured time ends a moment after the handler's own.
      expect(said).toBeLessThanOrEqual(bounds[place(Math.max(...truths)) + 1]!)
    })
  })

  test("time to drain is depth by slope, as the burst is worked off", async () => {
    let falling = 0
    for (let now = Math.ceil(burst.from) + 1; now < burst.to + 5; now++) {
      const { said, own } = await drainAt(now)
      if (own === 0 || !Number.isFinite(own)) continue
      expect(Math.abs(said - own), `${said} is not ${own}`).toBeLessThan(own * 0.01)
      falling += 1
    }
    expect(falling).toBeGreaterThan(2)
  })

  test("the heatmaps' diamonds open traces", async () => {
    for (const map of [durationMap, waitMap]) {
      const query = asked(map, "mail")
      const range = new URLSearchParams({ query, start: String(at - windowSeconds), end: String(at) })
      type Exemplars = { exemplars: { labels: Labels }[] }[]
      const found = await server.ask<Exemplars>(`query_exemplars?${range}`, (data) => data.length > 0)
      for (const { labels } of found.flatMap(({ exemplars }) => exemplars))
        expect(labels.trace_id).toMatch(/^[\da-f]{32}$/)
    }
  })

  test("every metric and every label that a query names exists", async () => {
    const names = await server.ask<string[]>("label/__name__/values", (data) => data.length > 0)
    const exprs = [
      ...boards.flatMap(({ rows, tasks }) =>
        rows.flatMap(({ panels }) =>
          panels.flatMap(({ queries }) => queries.map((q) => q.promql(new PromQL(panelScope(tasks))))),
        ),
      ),
      ...recordings.map(({ expr }) => expr),
    ]
    const named = new Set(exprs.flatMap((expr) => expr.match(/\b(taskora|nodejs|v8js)_\w+\b(?!:)/g) ?? []))
    expect(named.size).toBeGreaterThan(35)
    expect([...named].filter((name) => !names.includes(name))).toEqual([])
    const labels = await server.ask<string[]>("labels", (data) => data.length > 0)
    const asked = new Set(
      exprs.flatMap((expr) => [
        ...[...expr.matchAll(/\b(?:by|on|ignoring|without) \(([^)]*)\)/g)].flatMap(([, list]) =>
          list!.split(", "),
        ),
        ...[...expr.matchAll(/(\w+)(?:=~|!=|!~|=)"/g)].map(([, label]) => label!),
      ]),
    )
    expect([...asked].filter((label) => !labels.includes(label))).toEqual([])
  })

  test("every rule is sound, and every recording records", async () => {
    type Rule = { name: string; health: string; lastError?: string; type: string }
    const { groups } = await server.ask<{ groups: { rules: Rule[] }[] }>("rules", () => true)
    const rules = groups.flatMap((group) => group.rules)
    expect(rules.filter(({ health }) => health !== "ok")).toEqual([])
    expect(rules.filter(({ type }) => type === "recording")).toHaveLength(recordings.length)
    for (const { record } of recordings)
      for (const job of jobs) expect(await ask(`${record}{job="${job}"}`), record).not.toEqual([])
    const recorded = await number("max(job_prefix_task:taskora_queue_oldest_timestamp_seconds:age)")
    const age = await number(`time() - max(${prometheusName(gauges.queueOldest)}{task="orphans"})`)
    // As of the last evaluation.
    expect(recorded).toBeLessThanOrEqual(age)
    expect(recorded).toBeGreaterThan(age - 10)
  })

  test("the alerts that should have fired, fired; the others about the store and lost things did not", async () => {
    const fired = await ask(
      `max by (alertname, task) (max_over_time(ALERTS{alertstate="firing"}[${windowSeconds}s]))`,
    )
    const seen = fired.map(({ metric }) => `${metric.alertname} ${metric.task}`)
    expect(seen).toEqual(
      expect.arrayContaining([
        "TaskoraFailureRatioHigh mail",
        "TaskoraOldestJobTooOld orphans",
        "TaskoraNoWorkers orphans",
        "TaskoraJobsStall fragile",
      ]),
    )
    for (const name of ["TaskoraStoreDown", "TaskoraEventsLost", "TaskoraLeasesLost"])
      expect(seen.join("\n")).not.toContain(name)
    type Alerts = { alerts: { labels: Labels; annotations: Labels }[] }
    const { alerts } = await server.ask<Alerts>("alerts", (data) => data.alerts.length > 0)
    for (const { annotations } of alerts)
      for (const text of Object.values(annotations)) expect(text).not.toMatch(/<|\{\{|%!/)
  })
})
