import { metrics as metricsApi } from "@opentelemetry/api"
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { instruments, prometheusName } from "../../exporters/catalogue.ts"
import { opentelemetry, startTelemetry } from "../../exporters/opentelemetry/index.ts"
import { type Prometheus, prometheus } from "../../exporters/prometheus.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { type Clock, systemClock } from "../../src/model/clock.ts"
import type { Observer } from "../../src/model/observer.ts"
import type { Adapter } from "../../src/store/store.ts"
import { untilAborted } from "../support/aborted.ts"
import { claimAndVanish } from "../support/ghost.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { OtlpExposition } from "../support/otlp-exposition.ts"
import { findProgram, PrometheusServer } from "../support/prometheus-server.ts"
import { resetTelemetry } from "../support/spans.ts"

const service = "pushed"
const intervalMs = 200

/** How metrics come to be sent: each starts sending to the endpoint, and returns how to stop. */
const ways: Readonly<Record<string, (endpoint: string) => Promise<() => Promise<void>>>> = {
  async "the user's own SDK"(endpoint) {
    const exporter = new OTLPMetricExporter({ url: `${endpoint}/v1/metrics` })
    const provider = new MeterProvider({
      resource: resourceFromAttributes({ "service.name": service, "service.instance.id": "own" }),
      readers: [
        new PeriodicExportingMetricReader({
          exporter,
          exportIntervalMillis: intervalMs,
          exportTimeoutMillis: intervalMs,
        }),
      ],
    })
    metricsApi.setGlobalMeterProvider(provider)
    return async () => {
      await provider.shutdown()
      metricsApi.disable()
    }
  },
  async startTelemetry(endpoint) {
    const telemetry = await startTelemetry({ serviceName: service, endpoint, metricInterval: intervalMs })
    return async () => {
      await telemetry.shutdown()
      resetTelemetry()
    }
  },
}

/** The system's clock, until it is told to stand still: then nothing is due any more. */
class StoppableClock implements Clock {
  #stoppedAt: { now: number; monotonic: number } | undefined
  #late: (() => void)[] = []

  now = () => this.#stoppedAt?.now ?? systemClock.now()
  monotonic = () => this.#stoppedAt?.monotonic ?? systemClock.monotonic()
  clearTimeout = systemClock.clearTimeout
  setTimeout = (fn: () => void, ms: number, hold?: boolean) =>
    systemClock.setTimeout(() => (this.#stoppedAt ? this.#late.push(fn) : fn()), ms, hold)

  stop() {
    this.#stoppedAt = { now: this.now(), monotonic: this.monotonic() }
  }

  go() {
    this.#stoppedAt = undefined
    for (const fn of this.#late.splice(0)) fn()
  }
}

/** What cannot happen here; all else must, or it would be compared as nothing with nothing. */
const withoutOccasion = [
  "taskora.attempts.released",
  "taskora.events.lost",
  "taskora.jobs.expired",
  "taskora.jobs.revived",
  "taskora.leases.lost",
  "taskora.schedule.lateness",
  "taskora.schedule.missed",
  "taskora.schedule.next.timestamp",
  "taskora.schedule.skipped",
  "taskora.task.paused",
  "taskora.worker.shutdowns",
  "taskora.workflow.active",
  "taskora.workflow.duration",
  "taskora.workflows.cancelled",
  "taskora.workflows.completed",
  "taskora.workflows.failed",
  "taskora.workflows.started",
]

interface Answer {
  readonly result: readonly {
    readonly metric: Readonly<Record<string, string>>
    readonly value: readonly [number, string]
  }[]
}

/** All series of ours that one job has, by name and labels, as Prometheus answers them. */
async function seriesOf(server: PrometheusServer, job: string): Promise<Map<string, string>> {
  const query = encodeURIComponent(`{__name__=~"taskora_.*",job="${job}"}`)
  const { result } = await server.ask<Answer>(`query?query=${query}`, () => true)
  return new Map(
    result.map(({ metric, value: [, value] }) => {
      const { __name__: name, job: _job, instance: _instance, ...labels } = metric
      const kept = Object.entries(labels).filter(([label]) => !label.startsWith("otel_scope_"))
      return [`${name}${JSON.stringify(kept.sort())}`, value]
    }),
  )
}

/** What the two say differently: sums may differ in their last digits, nothing else at all. */
function differences(scraped: ReadonlyMap<string, string>, pushed: ReadonlyMap<string, string>): string[] {
  return [...new Set([...scraped.keys(), ...pushed.keys()])].flatMap((series) => {
    const [a, b] = [scraped.get(series), pushed.get(series)]
    if (a === b) return []
    const close = /^\w+_sum\[/.test(series) && Math.abs(Number(a) - Number(b)) <= 1e-9
    return close ? [] : [`${series}: ${a} scraped, ${b} pushed`]
  })
}

const isHere = findProgram(["prometheus"], "--version") !== undefined

for (const [way, startSending] of Object.entries(ways)) {
  describe.skipIf(!isHere)(way, () => {
    onBothHosts("scraped and pushed", (host) => {
      const open = testApps()
      const clock = new StoppableClock()
      let exposition: OtlpExposition
      let stopSending: () => Promise<void>
      let metrics: Prometheus
      let server: PrometheusServer | undefined

      beforeEach(async () => {
        vi.spyOn(console, "error").mockImplementation(() => {})
        exposition = await OtlpExposition.start()
        stopSending = await startSending(exposition.endpoint)
        metrics = prometheus({ port: 0 })
      })
      afterEach(async () => {
        vi.restoreAllMocks()
        clock.go()
        await stopSending()
        await server?.stop()
        await exposition.stop()
      })

      /** Everything that a single app can live through. */
      async function work(adapter: Adapter) {
        let faults = true
        const faulty: Observer = {
          name: "faulty",
          transition() {
            if (faults) throw new Error("no use")
          },
        }
        const app = open({ adapter, observers: [metrics, opentelemetry(), faulty] }, true)
        app.on("worker:error", () => {})
        app.on("task:failed", () => {})
        app.on("task:progress", () => {
          if (faults) throw new Error("a listener that throws")
        })
        const within = { within: "1s", target: 0.99 } as const
        const task = app.task("t", {
          concurrency: 3,
          stall: { interval: 1000, maxCount: 1 },
          retry: { attempts: 2, delay: 1 },
          info: { owner: 'the "mail" team\\', runbook: "https://example.com/runbook" },
          objectives: { success: 0.9, wait: within, duration: { within: 1, target: 0.9 } },
          async handler(deed: string, ctx) {
            await new Promise((resolve) => setTimeout(resolve, 3 * ctx.attempt))
            ctx.progress(ctx.attempt)
            if (deed === "fail") throw new RangeError("always")
            if (deed === "retry" && ctx.attempt === 1)
              throw Object.assign(new Error("unfit"), { name: "no class name" })
            if (deed === "hold") await untilAborted(ctx.signal)
            return deed
          },
        })
        const parked = app.task("parked")
        const vanishing = task.dispatch("vanish")
        await vanishing
        expect(await claimAndVanish(adapter, "t")).toEqual([vanishing.id])
        await app.start()
        const deeds = ["return", "fail", "retry", ...Array.from({ length: 40 }, (_, n) => "x".repeat(n * n))]
        await Promise.allSettled(
          [vanishing, ...deeds.map((deed) => task.dispatch(deed))].map((job) => job.result),
        )
        const held = task.dispatch("hold")
        await until(async () => (await held.getState()) === "active", "it runs")
        await held.cancel()
        await expect(held.result).rejects.toThrow("cancelled")
        await expect(Promise.resolve(task.dispatch(10n as never))).rejects.toThrow("BigInt")
        await parked.dispatch({}, { jobId: "twin" })
        await parked.dispatch({}, { jobId: "twin" })
        await parked.dispatch({}, { delay: "1h" }).cancel()
        await parked.dispatch({}, { delay: "1h" })
        faults = false
      }

      test("say the same of every series, bucket by bucket", { timeout: 120_000 }, async () => {
        const { prefix } = host.adapter()
        await work(host.name === "redis" ? { ...host.adapter(), clock } : memoryAdapter({ clock, prefix }))
        server = await PrometheusServer.start([metrics.port!], { otlp: exposition.port })
        clock.stop()

        let scraped = new Map<string, string>()
        let pushed = scraped
        const look = async () => {
          scraped = await seriesOf(server!, "taskora")
          pushed = await seriesOf(server!, service)
        }
        const alike = async () => {
          await look()
          return scraped.size > 0 && differences(scraped, pushed).length === 0
        }
        // What was under way when the clock stopped has yet to be scraped; a difference that stays is told below.
        await until(alike, "both are at rest", 20_000).catch(() => {})
        expect(differences(scraped, pushed)).toEqual([])

        // Once more, from scrapes and exports that came after: it was no moment's coincidence.
        const since = Date.now() / 1000
        for (const job of ["taskora", "otlp"])
          await server.query(`timestamp(up{job="${job}"}) > ${since + 2 * (intervalMs / 1000)}`)
        await look()
        expect(differences(scraped, pushed)).toEqual([])

        const happened = new Set(
          [...pushed].flatMap(([series, value]) => (Number(value) > 0 ? [series.split("[")[0]!] : [])),
        )
        const own = instruments.filter(({ name }) => name.startsWith("taskora."))
        const quiet = own.filter((instrument) => {
          const name = prometheusName(instrument)
          const parts = instrument.kind === "histogram" ? ["_count", "_sum", "_bucket"] : [""]
          return !parts.every((part) => happened.has(name + part))
        })
        expect(withoutOccasion).toEqual(expect.arrayContaining(quiet.map(({ name }) => name)))
        expect([...pushed.keys()].filter((series) => series.includes("_bucket["))).not.toEqual([])

        const { result } = await server.ask<Answer>(
          `query?query=target_info`,
          (data) => data.result.length > 0,
        )
        expect(result.map(({ metric }) => metric.job)).toEqual([service])
        const { instance } = result[0]!.metric
        expect(instance).toMatch(/^(own|[\da-f-]{36})$/)
        const labels = `job="${service}",instance="${instance}",otel_scope_name="taskora"`
        expect(await server.query(`taskora_worker_starts_total{${labels}}`)).toBe(1)
      })
    })
  })
}
