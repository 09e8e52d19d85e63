import { randomUUID } from "node:crypto"
import type { MeterProvider, TextMapPropagator, TracerProvider } from "@opentelemetry/api"
import { scopeName } from "./conventions.ts"
import { loadPackages } from "./packages.ts"
import { type Report, ReportingProcessor, reportUndelivered } from "./reporting.ts"
import { numberFrom, type ResolvedTelemetry } from "./start-options.ts"

/** The SDK's own (2,048 and 512) lose two thirds of the spans of a busy worker. */
const queueSize = 65_536
const batchSize = 4096

/** The SDK folds label sets beyond 2,000 into one without a word: 300 tasks with their outcomes have more. */
const seriesLimit = 20_000

/** The part of the SDK's providers that is used once they are made. */
interface Life {
  forceFlush(): Promise<void>
  shutdown(): Promise<void>
}

export interface Sdk {
  readonly tracerProvider: TracerProvider &
    Life & { register(config: { propagator?: TextMapPropagator | null }): void }
  readonly meterProvider: MeterProvider & Life
  /** Undefined: the SDK's default. Null: none. */
  readonly propagator: TextMapPropagator | null | undefined
}

/** @throws TaskoraError (`INVALID`) when packages of the SDK are missing */
export async function createSdk(resolved: ResolvedTelemetry, env: NodeJS.ProcessEnv): Promise<Sdk> {
  const loaded = await loadPackages(
    {
      "@opentelemetry/sdk-trace-node": () => import("@opentelemetry/sdk-trace-node"),
      "@opentelemetry/sdk-metrics": () => import("@opentelemetry/sdk-metrics"),
      "@opentelemetry/resources": () => import("@opentelemetry/resources"),
      "@opentelemetry/exporter-trace-otlp-http": () => import("@opentelemetry/exporter-trace-otlp-http"),
      "@opentelemetry/exporter-metrics-otlp-http": () => import("@opentelemetry/exporter-metrics-otlp-http"),
    },
    "startTelemetry()",
  )
  const { NodeTracerProvider, BatchSpanProcessor } = loaded["@opentelemetry/sdk-trace-node"]
  const { MeterProvider, PeriodicExportingMetricReader } = loaded["@opentelemetry/sdk-metrics"]
  const { OTLPTraceExporter } = loaded["@opentelemetry/exporter-trace-otlp-http"]
  const { OTLPMetricExporter } = loaded["@opentelemetry/exporter-metrics-otlp-http"]
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } =
    loaded["@opentelemetry/resources"]

  const headers = resolved.headers && { headers: resolved.headers }
  const target = (url: string | undefined) => ({ ...(url !== undefined && { url }), ...headers })
  const resource = defaultResource()
    // Without an instance of its own, every pod would write the same series, and counters would be corrupt.
    .merge(resourceFromAttributes({ "service.instance.id": randomUUID() }))
    .merge(detectResources({ detectors: [envDetector] }))
    .merge(resourceFromAttributes({ ...resolved.attributes, ...named(resolved.serviceName) }))

  const size = numberFrom(env, "OTEL_BSP_MAX_QUEUE_SIZE") ?? queueSize
  const maxExportBatchSize = Math.min(numberFrom(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE") ?? batchSize, size)
  const spans = new ReportingProcessor(new OTLPTraceExporter(target(resolved.tracesUrl)), {
    size,
    report: resolved.report,
    makeBatches: (exporter) => new BatchSpanProcessor(exporter, { maxQueueSize: size, maxExportBatchSize }),
  })
  const metricExporter = new OTLPMetricExporter(target(resolved.metricsUrl))
  reportUndelivered(metricExporter, resolved.report)
  const reader = new PeriodicExportingMetricReader({
    exporter: metricExporter,
    exportIntervalMillis: resolved.metricIntervalMs,
    exportTimeoutMillis: Math.min(resolved.metricIntervalMs, 30_000),
  })
  const isOn = (signal: "TRACES" | "METRICS") => env[`OTEL_${signal}_EXPORTER`] !== "none"
  return {
    propagator: await propagatorFrom(env, resolved.report),
    tracerProvider: new NodeTracerProvider({ resource, spanProcessors: isOn("TRACES") ? [spans] : [] }),
    meterProvider: new MeterProvider({
      resource,
      readers: isOn("METRICS") ? [reader] : [],
      views: [{ instrumentName: "*", meterName: scopeName, aggregationCardinalityLimit: seriesLimit }],
    }),
  }
}

function named(serviceName: string | undefined): Record<string, string> {
  return serviceName === undefined ? {} : { "service.name": serviceName }
}

/** The default is what the SDK sets up by itself, so its package is loaded for other wishes only. */
async function propagatorFrom(env: NodeJS.ProcessEnv, report: Report): Promise<Sdk["propagator"]> {
  const wanted = new Set(env.OTEL_PROPAGATORS?.split(",").map((name) => name.trim()) ?? [])
  wanted.delete("")
  if (wanted.size === 0) return undefined
  if (wanted.has("none")) return null
  const packages = { "@opentelemetry/core": () => import("@opentelemetry/core") }
  const { "@opentelemetry/core": core } = await loadPackages(packages, "OTEL_PROPAGATORS")
  const propagators: TextMapPropagator[] = []
  for (const name of wanted) {
    if (name === "tracecontext") propagators.push(new core.W3CTraceContextPropagator())
    else if (name === "baggage") propagators.push(new core.W3CBaggagePropagator())
    else report(`OTEL_PROPAGATORS: "${name}" is not known here; register an SDK of your own for it`)
  }
  return new core.CompositePropagator({ propagators })
}
