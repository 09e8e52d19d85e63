import { metrics } from "@opentelemetry/api"
import { type ExportResult, ExportResultCode } from "@opentelemetry/core"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics"
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-node"
import { metricProducer } from "../../exporters/opentelemetry/index.ts"
import type { Mode } from "../contestants/contestant.ts"
import type { ContestantName } from "../contestants/find.ts"

/** The processor of both sides: the SDK's defaults (2,048 and 512) drop most spans at these rates. */
export const spanQueue = { maxQueueSize: 65_536, maxExportBatchSize: 4_096, scheduledDelayMillis: 500 }
const metricsEveryMs = 1_000

export interface Telemetry {
  /** Spans that the exporter was given, by the first word of their names, after a flush. */
  spans(operation: string): Promise<number>
  close(): Promise<void>
}

/** Registers an SDK that counts instead of sending, with the same settings for every contestant. */
export function startTelemetry(mode: Mode, contestant: ContestantName): Telemetry {
  if (mode === "off" || mode === "unregistered" || mode === "prometheus")
    return { spans: async () => 0, close: async () => {} }
  const meters = new MeterProvider({ readers: [countingReader(contestant)] })
  metrics.setGlobalMeterProvider(meters)
  const counts = new Map<string, number>()
  const tracers = mode === "metrics" ? undefined : tracerProvider(mode === "sampled" ? 0.01 : 1, counts)
  tracers?.register()
  return {
    async spans(operation) {
      await tracers?.forceFlush()
      return counts.get(operation) ?? 0
    },
    async close() {
      await Promise.all([tracers?.shutdown(), meters.shutdown()])
    },
  }
}

function tracerProvider(share: number, counts: Map<string, number>): NodeTracerProvider {
  const sampler = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) })
  return new NodeTracerProvider({
    sampler,
    spanProcessors: [new BatchSpanProcessor(new CountingExporter(counts), spanQueue)],
  })
}

function countingReader(contestant: ContestantName): PeriodicExportingMetricReader {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  exporter.export = (_metrics, done) => done({ code: ExportResultCode.SUCCESS })
  return new PeriodicExportingMetricReader({
    exporter,
    // What the README tells users who set up an SDK themselves, and what startTelemetry() does.
    metricProducers: contestant === "bullmq" ? [] : [metricProducer()],
    exportIntervalMillis: metricsEveryMs,
    exportTimeoutMillis: metricsEveryMs,
  })
}

class CountingExporter implements SpanExporter {
  constructor(private readonly counts: Map<string, number>) {}

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    for (const { name } of spans) {
      const operation = name.slice(0, name.indexOf(" "))
      this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1)
    }
    done({ code: ExportResultCode.SUCCESS })
  }

  async shutdown(): Promise<void> {}
}
