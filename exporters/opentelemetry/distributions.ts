import type { Attributes } from "@opentelemetry/api"
import type { Instrument } from "../catalogue.ts"
import type { HistogramReader } from "../measure/histogram.ts"
import { attributesOf } from "./tally.ts"

/** What one label set of a histogram recorded. */
export interface Distribution {
  readonly attributes: Attributes
  readonly bounds: readonly number[]
  /** Records per bucket, not cumulated; the last one is above all bounds. */
  readonly counts: number[]
  sum: number
}

/** Histograms by instrument and attributes, those of all apps in the process added up. A copy: nothing changes it later. */
export class Distributions {
  readonly byInstrument = new Map<Instrument, Map<string, Distribution>>()

  add(readers: readonly HistogramReader[], constant: Attributes) {
    for (const { instrument, bounds, children } of readers)
      for (const { values, counts, sum } of children) {
        const attributes = attributesOf(instrument.attributes, values, constant)
        this.#merge(instrument, { attributes, bounds, counts, sum })
      }
  }

  include(other: Distributions) {
    for (const [instrument, all] of other.byInstrument)
      for (const one of all.values()) this.#merge(instrument, one)
  }

  #merge(instrument: Instrument, { attributes, bounds, counts, sum }: Distribution) {
    let series = this.byInstrument.get(instrument)
    if (series === undefined) {
      series = new Map()
      this.byInstrument.set(instrument, series)
    }
    const key = JSON.stringify(attributes)
    const known = series.get(key)
    if (known === undefined) series.set(key, { attributes, bounds, counts: [...counts], sum })
    else {
      known.sum += sum
      for (const [index, count] of counts.entries())
        known.counts[bucketFor(known.bounds, bounds[index])]! += count
    }
  }
}

/** Two apps may differ in their buckets: the first one's rule, and a record goes where all of its old bucket fits below. */
function bucketFor(bounds: readonly number[], upper: number | undefined): number {
  const found = upper === undefined ? -1 : bounds.findIndex((bound) => upper <= bound)
  return found < 0 ? bounds.length : found
}
