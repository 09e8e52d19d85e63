import { type Attributes, type Histogram, type Meter, ROOT_CONTEXT } from "@opentelemetry/api"
import type { HistogramInstrument } from "../catalogue.ts"
import type { HistogramReader, Histogram as Measured } from "../measure/histogram.ts"
import type { Measure } from "../measure/measure.ts"
import { attributesOf } from "./tally.ts"

/** The buckets travel as advice: a View of the user's goes before them. */
export function createHistogram(
  meter: Meter,
  { name, unit, description, buckets }: HistogramInstrument,
  bounds: readonly number[] = buckets,
): Histogram {
  return meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...bounds] } })
}

/** A histogram of the SDK, and the one object of attributes that all records of a label set share. */
interface Target {
  readonly histogram: Histogram
  readonly attributes: Attributes
}

/** Records into a meter what an app's histograms record, as it happens: the SDK cannot read distributions. Returns how to stop. */
export function recordHistograms(measure: Measure, meter: Meter, constant: Attributes): () => void {
  const families = new Map<HistogramReader, Histogram>()
  const targets = new Map<Measured, Target>()

  const resolve = (measured: Measured): Target => {
    const { family, values } = measured
    let histogram = families.get(family)
    if (histogram === undefined) {
      histogram = createHistogram(meter, family.instrument, family.bounds)
      families.set(family, histogram)
    }
    const target = { histogram, attributes: attributesOf(family.instrument.attributes, values, constant) }
    targets.set(measured, target)
    return target
  }

  return measure.onRecord((measured, value, times) => {
    const { histogram, attributes } = targets.get(measured) ?? resolve(measured)
    for (let n = 0; n < times; n++) histogram.record(value, attributes, ROOT_CONTEXT)
  })
}
