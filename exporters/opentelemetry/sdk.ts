import { randomUUID } from "node:crypto"
import type { MeterProvider, TextMapPropagator, TracerProvider } from "@opentelemetry/api"
import type { PushMetricExporter } from "@opentelemetry/sdk-metrics"
import { scopeName } from "./conventions.ts"
import { loadPackages } from "./packages.ts"
import { useProducer } from "./producer.ts"
import { propagatorFrom } from "./propagators.ts"
import { ReportingProcessor, reportUndelivered } from "./reporting.ts"
import { createLogs, type Logs } from "./sdk-logs.ts"
import { type Life, type Setting, target } from "./setting.ts"
import { numberFrom, type ResolvedTelemetry } from "./start-options.ts"

/** The SDK's own (2,048 and 512) lose two thirds of the spans of a busy worker. */
const queueSize = 65_536
const batchSize = 4096

/** The SDK folds label sets beyond 2,000 into one without a word: 300 tasks with their outcomes have more. */
const seriesLimit = 20_000

export interface Sdk {
  readonly tracerProvider: TracerProvider &
    Life & { register(config: { propagator?: TextMapPropagator | null }): void }
  readonly meterProvider: MeterProvider & Life
  /** Absent where the packages for logs are not installed. */
  readonly logs: Logs | undefined
  /** Undefined: the SDK's default. Null: none. */
  readonly propagator: TextMapPropagator | null | undefined
  /** Gives back what these providers hold of the process. */
  release(): void
}

/** @throws TaskoraError (`INVALID`) when packages of the SDK are missing */
export async function createSdk(resolved: ResolvedTelemetry, env: NodeJS.ProcessEnv): Promise<Sdk> {
  const loaded = await loadSdk()
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } =
    loaded["@opentelemetry/resources"]
  const resource = defaultResource()
    // Without an instance of its own, every pod would write the same series, and counters would be corrupt.
    .merge(resourceFromAttributes({ "service.instance.id": randomUUID() }))
    .merge(detectResources({ detectors: [envDetector] }))
    .merge(resourceFromAttributes({ ...resolved.attributes, ...named(resolved.serviceName) }))
  const setting = { resolved, env, resource }
  return {
    tracerProvider: createTracerProvider(loaded, setting),
    ...createMeterProvider(loaded, setting),
    logs: isOff("LOGS", env) ? undefined : await createLogs(setting),
    propagator: await propagatorFrom(env, resolved.report),
  }
}

type Loaded = Awaited<ReturnType<typeof loadSdk>>

function loadSdk() {
  return loadPackages(
    {
      "@opentelemetry/sdk-trace-node": () => import("@opentelemetry/sdk-trace-node"),
      "@opentelemetry/sdk-metrics": () => import("@opentelemetry/sdk-metrics"),
      "@opentelemetry/resources": () => import("@opentelemetry/resources"),
      "@opentelemetry/exporter-trace-otlp-http": () => import("@opentelemetry/exporter-trace-otlp-http"),
      "@opentelemetry/exporter-metrics-otlp-http": () => import("@opentelemetry/exporter-metrics-otlp-http"),
    },
    "startTelemetry()",
  )
}

function isOff(signal: "TRACES" | "METRICS" | "LOGS", env: NodeJS.ProcessEnv): boolean {
  return env[`OTEL_${signal}_EXPORTER`] === "none"
}

function createTracerProvider(loaded: Loaded, { resolved, env, resource }: Setting): Sdk["tracerProvider"] {
  const { NodeTracerProvider, BatchSpanProcessor } = loaded["@opentelemetry/sdk-trace-node"]
  const { OTLPTraceExporter } = loaded["@opentelemetry/exporter-trace-otlp-http"]
  if (isOff("TRACES", env)) return new NodeTracerProvider({ resource })
  const size = numberFrom(env, "OTEL_BSP_MAX_QUEUE_SIZE") ?? queueSize
  const maxExportBatchSize = Math.min(numberFrom(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE") ?? batchSize, size)
  const spans = new ReportingProcessor(new OTLPTraceExporter(target(resolved.tracesUrl, resolved)), {
    size,
    report: resolved.report,
    makeBatches: (exporter) => new BatchSpanProcessor(exporter, { maxQueueSize: size, maxExportBatchSize }),
  })
  return new NodeTracerProvider({ resource, spanProcessors: [spans] })
}

function createMeterProvider(
  loaded: Loaded,
  { resolved, env, resource }: Setting,
): Pick<Sdk, "meterProvider" | "release"> {
  const { MeterProvider, PeriodicExportingMetricReader } = loaded["@opentelemetry/sdk-metrics"]
  const { OTLPMetricExporter } = loaded["@opentelemetry/exporter-metrics-otlp-http"]
  const views = [{ instrumentName: "*", meterName: scopeName, aggregationCardinalityLimit: seriesLimit }]
  if (isOff("METRICS", env)) return { meterProvider: new MeterProvider({ resource }), release() {} }
  const exporter = new OTLPMetricExporter(target(resolved.metricsUrl, resolved))
  reportUndelivered(exporter, { what: "metrics", report: resolved.report })
  const fetched = takesTotals(exporter, loaded) ? useProducer() : undefined
  const reader = new PeriodicExportingMetricReader({
    exporter,
    metricProducers: fetched ? [fetched.producer] : [],
    exportIntervalMillis: resolved.metricIntervalMs,
    exportTimeoutMillis: Math.min(resolved.metricIntervalMs, 30_000),
  })
  return {
    meterProvider: new MeterProvider({ resource, readers: [reader], views }),
    release: () => fetched?.release(),
  }
}

/** Differences since the last export the SDK has to work out: for them, numbers are recorded through the meter. */
function takesTotals(exporter: PushMetricExporter, loaded: Loaded): boolean {
  const { AggregationTemporality, InstrumentType } = loaded["@opentelemetry/sdk-metrics"]
  return [InstrumentType.COUNTER, InstrumentType.HISTOGRAM, InstrumentType.OBSERVABLE_COUNTER].every(
    (kind) => exporter.selectAggregationTemporality?.(kind) === AggregationTemporality.CUMULATIVE,
  )
}

function named(serviceName: string | undefined): Record<string, string> {
  return serviceName === undefined ? {} : { "service.name": serviceName }
}
