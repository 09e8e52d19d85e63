import type { Instrument } from "./instrument.ts"

/** UCUM to Prometheus, for the units that the catalogue uses. */
const unitWords: Readonly<Record<string, string>> = { s: "seconds", By: "bytes" }

function unitSuffix(instrument: Instrument): string {
  const { unit, kind } = instrument
  // An annotation such as {job} says what is counted; it is no unit.
  if (unit === "" || unit.startsWith("{")) return ""
  // Only gauges of unit 1 are ratios; a counter of unit 1 is a mere number.
  if (unit === "1") return kind === "gauge" ? "ratio" : ""
  const word = unitWords[unit]
  if (word === undefined) throw new Error(`The catalogue has no Prometheus word for the unit "${unit}".`)
  return word
}

export interface PrometheusNames {
  /** The name in PromQL of a counter or gauge; what `_bucket`, `_sum` and `_count` are appended to in a histogram. */
  readonly metric: string
  /** What OpenMetrics calls the family: the counter's name without `_total`. */
  readonly family: string
  /** The unit in words, or "". */
  readonly unit: string
}

/** The names that OpenTelemetry's rules for Prometheus give an instrument. */
export function prometheusNames(instrument: Instrument): PrometheusNames {
  const base = instrument.name.replace(/[^a-zA-Z0-9_:]+/g, "_")
  const unit = unitSuffix(instrument)
  const family = unit === "" || base.endsWith(`_${unit}`) ? base : `${base}_${unit}`
  return { metric: instrument.kind === "counter" ? `${family}_total` : family, family, unit }
}

/** The name by which PromQL knows an instrument. */
export function prometheusName(instrument: Instrument): string {
  return prometheusNames(instrument).metric
}

/** `error.type` is `error_type` in PromQL. */
export function prometheusLabel(attribute: string): string {
  return attribute.replace(/[^a-zA-Z0-9_]/g, "_")
}
