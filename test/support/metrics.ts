import { metrics } from "@opentelemetry/api"
import {
  type DataPoint,
  MeterProvider,
  type MetricData,
  type MetricProducer,
  MetricReader,
  type ScopeMetrics,
} from "@opentelemetry/sdk-metrics"

class ManualReader extends MetricReader {
  protected async onForceFlush() {}
  protected async onShutdown() {}
}

interface CollectorOptions {
  readonly register?: boolean
  readonly metricProducers?: readonly MetricProducer[]
}

/** A registered metrics SDK that is read by hand. */
export class MetricCollector {
  readonly #reader: ManualReader
  readonly provider: MeterProvider

  constructor({ register = true, metricProducers = [] }: CollectorOptions = {}) {
    this.#reader = new ManualReader({ metricProducers: [...metricProducers] })
    this.provider = new MeterProvider({ readers: [this.#reader] })
    if (register) metrics.setGlobalMeterProvider(this.provider)
  }

  async scopes(): Promise<ScopeMetrics[]> {
    const { resourceMetrics, errors } = await this.#reader.collect()
    if (errors.length > 0) throw new AggregateError(errors)
    return resourceMetrics.scopeMetrics
  }

  /** What was collected, by instrument. */
  async collect(): Promise<Map<string, MetricData>> {
    const all = (await this.scopes()).flatMap((scope) => scope.metrics)
    return new Map(all.map((metric) => [metric.descriptor.name, metric]))
  }

  /** The points of one instrument, each as `a=1 b=2: value`; histograms show their count. */
  async points(name: string): Promise<string[]> {
    const points: readonly DataPoint<unknown>[] = (await this.collect()).get(name)?.dataPoints ?? []
    return points.map(({ attributes, value }) => {
      const labels = Object.entries(attributes).map(([key, text]) => `${key}=${text}`)
      const shown = typeof value === "object" ? (value as { count: number }).count : value
      return `${labels.join(" ")}: ${shown}`
    })
  }

  async stop() {
    await this.provider.shutdown()
    metrics.disable()
  }
}
