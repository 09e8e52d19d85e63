import { afterEach, beforeEach, expect, test } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { type Prometheus, prometheus } from "../../exporters/prometheus.ts"
import type { App } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { scripts } from "../../src/store/scripts.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { type Fault, type FaultyProxy, startProxy } from "../support/proxy.ts"
import { SpanCollector } from "../support/spans.ts"
import { seriesOf, sumsOf } from "./truth.ts"

onRedis("what is sent again because its answer was lost", (host) => {
  const open = testApps()
  let proxy: FaultyProxy
  let metrics: Prometheus
  let collector: SpanCollector
  let app: App

  beforeEach(async () => {
    collector = new SpanCollector()
    proxy = await startProxy(Number(new URL(host.url()!).port))
    metrics = prometheus({ port: false })
    const adapter = redisAdapter(proxy.url, { prefix: host.adapter().prefix })
    app = open({ adapter, observers: [opentelemetry({ metrics: false }), metrics] }, true)
    app.on("worker:error", () => {})
    app.on("task:failed", () => {})
  })
  afterEach(async () => {
    await app.close({ timeout: 500 })
    await proxy.stop()
    await collector.stop()
  })

  const faults: readonly Fault[] = ["reply lost", "request lost", "request late"]
  const told = ["enqueue", "launch", "settle", "progress", "cancel"] as const
  test.each(told.flatMap((name) => faults.map((fault) => [name, fault] as const)))(
    "counts once, and makes one span: %s, %s",
    async (name, fault) => {
      const task = app.task("t", {
        retry: { attempts: 2, delay: 1 },
        async handler(deed: string, ctx) {
          ctx.progress(1)
          await new Promise((resolve) => setTimeout(resolve, 20))
          if (deed === "retry" && ctx.attempt === 1) throw new RangeError("once more")
        },
      })
      const parked = app.task("parked")
      await app.start()
      await task.dispatch("return").result
      const late = await parked
        .dispatch({}, { jobId: "late" })
        .then(() => parked.dispatch({}, { jobId: "late" }))
      expect(late).toBe("late")

      const struck = proxy.strike(scripts[name].source.sha, fault)
      // A plain job that comes alone is launched instead of enqueued.
      const first = task.dispatch("retry", name === "enqueue" ? { priority: 1 } : {})
      const cancelled = name === "cancel" ? parked.dispatch({}, { jobId: "late" }).cancel() : undefined
      const landed = await struck
      await landed.deliver()
      await first.result
      if (cancelled) expect(await cancelled).toBe("cancelled")
      await until(() => collector.named("process t").length === 3, "all runs are settled")

      const body = async () => (await metrics.render()).body
      const left = async () => (await app.inspect().stats({ task: "t" })).active
      await until(async () => (await left()) === 0, "nothing runs")
      const sums = [...sumsOf([await body()])]
      const value = (metric: string, ...parts: string[]) =>
        sums
          .filter(
            ([series]) =>
              series.startsWith(`taskora_${metric}_total`) && parts.every((p) => series.includes(p)),
          )
          .reduce((total, [, count]) => total + count, 0)
      const removed = name === "cancel" ? 1 : 0
      expect({
        dispatched: value("jobs_dispatched", '"t"'),
        started: value("attempts_started", '"t"'),
        completed: value("jobs_completed", '"t"'),
        retried: value("jobs_retried", '"t"'),
        failed: value("attempts_failed", '"t"'),
        progress: value("job_progress_reports", '"t"'),
        parked: value("jobs_dispatched", '"parked"'),
        removed: value("jobs_cancelled"),
        rejected: value("jobs_rejected"),
      }).toEqual({
        dispatched: 2,
        started: 3,
        completed: 2,
        retried: 1,
        failed: 1,
        progress: 3,
        parked: 1,
        removed,
        // Its id was there already.
        rejected: 1 + removed,
      })
      expect(collector.named("send t")).toHaveLength(2)
      expect(collector.named("cancel parked")).toHaveLength(removed)
      await until(async () => {
        const cluster = [...seriesOf(await body(), "taskora_cluster_transitions_total")]
        const of = (transition: string) =>
          cluster.find(([s]) => s.includes('"t"') && s.includes(`"${transition}"`))?.[1]
        return of("started") === 3 && of("completed") === 2 && of("dispatched") === 2 && of("retried") === 1
      }, "the store has counted the same")
    },
  )
})
