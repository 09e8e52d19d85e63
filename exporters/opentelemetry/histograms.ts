import { type Attributes, type Histogram, type Meter, ROOT_CONTEXT } from "@opentelemetry/api"
import type { HistogramReader, Histogram as Measured, RecordListener } from "../measure/histogram.ts"
import { attributesOf } from "./tally.ts"

/** A histogram of the SDK, and the one object of attributes that all records of a label set share. */
interface Target {
  readonly histogram: Histogram
  readonly attributes: Attributes
}

/** Records into a meter what an app's histograms record, as it happens: the SDK cannot observe distributions. */
export function recordInto(meter: Meter, constant: Attributes): RecordListener {
  const families = new Map<HistogramReader, Histogram>()
  const targets = new Map<Measured, Target>()

  const resolve = (measured: Measured): Target => {
    const { family, values } = measured
    let histogram = families.get(family)
    if (histogram === undefined) {
      histogram = createHistogram(meter, family)
      families.set(family, histogram)
    }
    const target = { histogram, attributes: attributesOf(family.instrument.attributes, values, constant) }
    targets.set(measured, target)
    return target
  }

  return (measured, value, times) => {
    const { histogram, attributes } = targets.get(measured) ?? resolve(measured)
    for (let n = 0; n < times; n++) histogram.record(value, attributes, ROOT_CONTEXT)
  }
}

/** The buckets travel as advice: a View of the user's goes before them. */
function createHistogram(meter: Meter, { instrument, bounds }: HistogramReader): Histogram {
  const { name, unit, description } = instrument
  return meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...bounds] } })
}
