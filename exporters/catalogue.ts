/**
 * The only place that names an instrument. Both bindings, the reference page, the dashboards, the rules and the tests
 * read it, so that a query works alike whether its metrics were scraped or arrived by OTLP.
 */
import { counters } from "./catalogue/counters.ts"
import { gauges, runtimeGauges } from "./catalogue/gauges.ts"
import { histograms } from "./catalogue/histograms.ts"
import type { Instrument } from "./catalogue/instrument.ts"

export { counters } from "./catalogue/counters.ts"
export { eventInstruments } from "./catalogue/events.ts"
export { gauges, runtimeGauges } from "./catalogue/gauges.ts"
export { histograms } from "./catalogue/histograms.ts"
export {
  type Attribute,
  type HistogramInstrument,
  type Instrument,
  type Kind,
  other,
  type ValuesOf,
} from "./catalogue/instrument.ts"
export { messagingInstruments } from "./catalogue/messaging.ts"
export {
  type PrometheusNames,
  prometheusLabel,
  prometheusName,
  prometheusNames,
} from "./catalogue/naming.ts"

/** All instruments, in the order in which pages show them. */
export const instruments: readonly Instrument[] = [
  ...Object.values(counters),
  ...Object.values(gauges),
  ...Object.values(histograms),
  ...Object.values(runtimeGauges),
]
