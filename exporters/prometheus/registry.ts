import type { Metric, Registry } from "prom-client"
import { type Instrument, instruments, prometheusLabel, prometheusNames } from "../catalogue.ts"
import type { PromClient } from "./defaults.ts"
import type { Exposed } from "./exposition.ts"
import { formatBound, type Labels } from "./text.ts"

interface FacadeValue {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  readonly metricName?: string
}

/** What prom-client asks of a metric that is being read. */
class Facade {
  readonly help: string
  readonly type: string
  readonly aggregator = "sum"
  readonly #instrument: Instrument
  readonly #read: () => Promise<Exposed>
  readonly #constant: Labels
  #standardized: string | undefined

  constructor(instrument: Instrument, read: () => Promise<Exposed>, constant: Labels) {
    this.#instrument = instrument
    this.#read = read
    this.#constant = constant
    this.help = instrument.description
    this.type = instrument.kind
  }

  get name(): string {
    return prometheusNames(this.#instrument).metric
  }

  /** An OpenMetrics registry cuts `_total` off just before it reads a counter. That holds for one reading only. */
  set name(name: string) {
    this.#standardized = name
  }

  async get() {
    const name = this.#standardized ?? this.name
    this.#standardized = undefined
    const values = this.#values(await this.#read())
    return { name, help: this.help, type: this.type, aggregator: this.aggregator, values }
  }

  /** The numbers are the app's: a registry that is reset does not undo what happened. */
  reset(): void {}

  #values(exposed: Exposed): FacadeValue[] {
    const instrument = this.#instrument
    const counter = exposed.counters.find((family) => family.instrument === instrument)
    if (counter !== undefined) {
      return counter.children.map(({ value, values }) => ({ value, labels: this.#labels(values) }))
    }
    const histogram = exposed.histograms.find((family) => family.instrument === instrument)
    if (histogram === undefined) {
      const readings = exposed.readings.flatMap((r) => r.byInstrument.get(instrument) ?? [])
      return readings.map(({ value, values }) => ({ value, labels: this.#labels(values) }))
    }
    const bounds = [...histogram.bounds, Infinity].map(formatBound)
    return histogram.children.flatMap(({ counts, sum, values }) => {
      const labels = this.#labels(values)
      let total = 0
      const buckets = bounds.map((le, i) => {
        total += counts[i] ?? 0
        return { value: total, labels: { le, ...labels }, metricName: `${this.name}_bucket` }
      })
      return [
        ...buckets,
        { value: sum, labels, metricName: `${this.name}_sum` },
        { value: total, labels, metricName: `${this.name}_count` },
      ]
    })
  }

  #labels(values: readonly string[]): Readonly<Record<string, string>> {
    const own = this.#instrument.attributes.map((a, i): [string, string] => [
      prometheusLabel(a.name),
      values[i] ?? "",
    ])
    return Object.fromEntries([...this.#constant, ...own].filter(([, value]) => value !== ""))
  }
}

/** A prom-client registry that shows an app's numbers, so that it can be merged with a user's own. */
export function facadeRegistry(
  promClient: PromClient,
  read: () => Promise<Exposed>,
  constant: Labels,
  others: readonly Registry[],
): Registry {
  const registry = new promClient.Registry()
  for (const instrument of instruments) {
    registry.registerMetric(new Facade(instrument, read, constant) as unknown as Metric)
  }
  for (const metric of others.flatMap((r) => r.getMetricsAsArray())) {
    registry.registerMetric(metric as unknown as Metric)
  }
  return registry
}
