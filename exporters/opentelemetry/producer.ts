import { type HrTime, ValueType } from "@opentelemetry/api"
import type {
  AggregationTemporality,
  CollectionResult,
  DataPoint,
  DataPointType,
  HistogramMetricData,
  MetricCollectOptions,
  MetricData,
  MetricProducer,
} from "@opentelemetry/sdk-metrics"
import { systemClock } from "../../src/model/clock.ts"
import type { Instrument } from "../catalogue.ts"
import { Apps } from "./apps.ts"
import { queueTimeoutMs } from "./collector.ts"
import { schemaUrl, scopeName } from "./conventions.ts"
import type { Distribution } from "./distributions.ts"
import { Tally } from "./tally.ts"

/** Values of the SDK's enums, whose package is imported for its types alone. */
const cumulative: AggregationTemporality.CUMULATIVE = 1
const histogramType: DataPointType.HISTOGRAM = 0
const gaugeType: DataPointType.GAUGE = 2
const sumType: DataPointType.SUM = 3

/** Every total of this process was 0 then. */
const startTime = hrTime(performance.timeOrigin)
/** The cluster's totals are older: OTLP's word for a start that is not known, lest a backend takes them for new. */
const unknownStart: HrTime = [0, 0]

/** Hands an SDK's reader the numbers as they are kept here, so that nothing need be recorded a second time as jobs run. */
export class Producer implements MetricProducer {
  readonly apps = new Apps()

  async collect({ timeoutMillis }: MetricCollectOptions = {}): Promise<CollectionResult> {
    const errors: unknown[] = []
    const patienceMs = Math.min(queueTimeoutMs, (timeoutMillis ?? Number.POSITIVE_INFINITY) / 2)
    const asked = await this.apps.ask(patienceMs).catch((error: unknown) => {
      errors.push(error)
      return new Tally()
    })
    const tally = this.apps.read()
    tally.include(asked)
    const endTime = hrTime(systemClock.now())
    const metrics: MetricData[] = []
    for (const [instrument, all] of tally.byInstrument) {
      const time = { startTime: instrument.cluster ? unknownStart : startTime, endTime }
      metrics.push(
        numbers(
          instrument,
          points(all.values(), time, ({ value }) => value),
        ),
      )
    }
    for (const [instrument, all] of this.apps.readHistograms().byInstrument)
      metrics.push(histogram(instrument, points(all.values(), { startTime, endTime }, histogramValue)))
    const scope = { name: scopeName, version: this.apps.version, schemaUrl }
    const scopeMetrics = metrics.length > 0 ? [{ scope, metrics }] : []
    return { resourceMetrics: { resource, scopeMetrics }, errors }
  }
}

function points<S extends { readonly attributes: DataPoint<V>["attributes"] }, V>(
  all: Iterable<S>,
  time: { readonly startTime: HrTime; readonly endTime: HrTime },
  value: (one: S) => V,
): DataPoint<V>[] {
  return Array.from(all, (one) => ({ ...time, attributes: one.attributes, value: value(one) }))
}

function numbers(instrument: Instrument, dataPoints: DataPoint<number>[]): MetricData {
  const common = { descriptor: describe(instrument), aggregationTemporality: cumulative, dataPoints }
  return instrument.kind === "counter"
    ? { ...common, dataPointType: sumType, isMonotonic: true }
    : { ...common, dataPointType: gaugeType }
}

function histogram(instrument: Instrument, dataPoints: HistogramMetricData["dataPoints"]): MetricData {
  return {
    descriptor: describe(instrument),
    aggregationTemporality: cumulative,
    dataPointType: histogramType,
    dataPoints,
  }
}

/** Without the least and the greatest: over all of a process's life they say little, and nobody keeps them. */
function histogramValue({ bounds, counts, sum }: Distribution) {
  const count = counts.reduce((total, one) => total + one, 0)
  return { buckets: { boundaries: [...bounds], counts }, count, sum }
}

function describe({ name, unit, description }: Instrument): MetricData["descriptor"] {
  return { name, unit, description, valueType: ValueType.DOUBLE }
}

function hrTime(epochMs: number): HrTime {
  const seconds = Math.trunc(epochMs / 1000)
  return [seconds, Math.round((epochMs - seconds * 1000) * 1e6)]
}

/** A reader takes the SDK's own. */
const resource: CollectionResult["resourceMetrics"]["resource"] = {
  attributes: {},
  merge: (other) => other ?? resource,
  getRawAttributes: () => [],
}

let used: { readonly producer: Producer; users: number } | undefined

/** The producer that the apps of this process show their numbers through; undefined where nobody asked for it. */
export function producerInUse(): Producer | undefined {
  return used?.producer
}

/** The producer of this process, in use until it is given back. */
export function useProducer(): { readonly producer: Producer; release(): void } {
  used ??= { producer: new Producer(), users: 0 }
  const mine = used
  mine.users++
  return {
    producer: mine.producer,
    release() {
      if (--mine.users === 0 && used === mine) used = undefined
    },
  }
}

/**
 * For an SDK that you set up yourself: its reader then fetches Taskora's metrics, all of them, where they are kept. This
 * costs a job a fraction of what recording its durations in the SDK costs, and the numbers are the same.
 *
 * ```ts
 * new PeriodicExportingMetricReader({ exporter, metricProducers: [metricProducer()] })
 * ```
 * Call it before the apps start, and only for a reader that takes it: from then on nothing is recorded through the global
 * meter. The numbers are cumulative. Views do not reach them; see the options `buckets` and `taskLimit` of
 * `opentelemetry()`. Apps with a `meterProvider` of their own keep to that.
 */
export function metricProducer(): MetricProducer {
  return useProducer().producer
}
