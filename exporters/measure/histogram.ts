import type { TracePoint } from "../../src/model/observer.ts"
import { type Attribute, type HistogramInstrument, other, type ValuesOf } from "../catalogue.ts"
import type { Counter } from "./counter.ts"

/** The last sampled record that fell into a bucket. */
export interface Exemplar {
  traceId: string
  spanId: string
  value: number
  /** ms since the epoch. */
  at: number
}

/** Hears of every record, for a binding that keeps its own histograms. */
export type RecordListener = (histogram: Histogram, value: number, times: number) => void

/** What the histograms of one store share. */
export interface HistogramContext {
  now(): number
  readonly listeners: RecordListener[]
}

export interface HistogramReader {
  readonly instrument: HistogramInstrument
  readonly bounds: readonly number[]
  /** Label sets with at least one record; only ever appended to. */
  readonly children: readonly Histogram[]
}

/** The distribution of one label set. It joins its family with its first record. */
export class Histogram {
  readonly values: readonly string[]
  /** Records per bucket, not cumulated; the last one is above all bounds. Empty until the first record. */
  counts: number[] = []
  /** Per bucket, where a sampled trace was seen. */
  exemplars: (Exemplar | undefined)[] = []
  sum = 0
  readonly #family: HistogramFamily<readonly Attribute[]>
  readonly #overflows: Counter | undefined

  constructor(
    family: HistogramFamily<readonly Attribute[]>,
    values: readonly string[],
    overflows: Counter | undefined,
  ) {
    this.#family = family
    this.values = values
    this.#overflows = overflows
  }

  get family(): HistogramReader {
    return this.#family
  }

  record(measured: number, trace?: TracePoint, times = 1): void {
    // Clocks of two machines can disagree; NaN or Infinity must not poison the sum for ever.
    const value = Number.isFinite(measured) ? Math.max(measured, 0) : 0
    const family = this.#family
    const bounds = family.bounds
    if (this.counts.length === 0) {
      this.counts = new Array<number>(bounds.length + 1).fill(0)
      family.join(this)
    }
    let bucket = 0
    while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1
    this.counts[bucket]! += times
    this.sum += value * times
    if (trace?.sampled === true) this.#exemplify(bucket, value, trace)
    if (this.#overflows !== undefined) this.#overflows.value += times
    const { listeners } = family.context
    for (let i = 0; i < listeners.length; i++) listeners[i]!(this, value, times)
  }

  #exemplify(bucket: number, value: number, trace: TracePoint): void {
    const { traceId, spanId } = trace
    const at = this.#family.context.now()
    const kept = this.exemplars[bucket]
    if (kept === undefined) this.exemplars[bucket] = { traceId, spanId, value, at }
    else {
      kept.traceId = traceId
      kept.spanId = spanId
      kept.value = value
      kept.at = at
    }
  }
}

export class HistogramFamily<A extends readonly Attribute[]> implements HistogramReader {
  readonly instrument: HistogramInstrument<A>
  readonly context: HistogramContext
  readonly children: Histogram[] = []
  readonly #byValues = new Map<string, Histogram>()
  readonly #overflows: Counter | undefined
  #bounds: readonly number[]

  constructor(instrument: HistogramInstrument<A>, context: HistogramContext, overflows?: Counter) {
    this.instrument = instrument
    this.context = context
    this.#overflows = overflows
    this.#bounds = instrument.buckets
  }

  get bounds(): readonly number[] {
    return this.#bounds
  }

  /** Sets other bounds; false when there are records already, whose buckets could not be divided anew. */
  rebucket(bounds: readonly number[]): boolean {
    if (this.children.length > 0) return false
    this.#bounds = bounds
    return true
  }

  child(...values: ValuesOf<A>): Histogram {
    const key = values.join("\0")
    let histogram = this.#byValues.get(key)
    if (histogram === undefined) {
      histogram = new Histogram(this, values, values.includes(other) ? this.#overflows : undefined)
      this.#byValues.set(key, histogram)
    }
    return histogram
  }

  /** A child's first record makes it visible: an empty histogram would only look like data. */
  join(child: Histogram): void {
    this.children.push(child)
  }
}
