import type { Attributes } from "@opentelemetry/api"
import type { Attribute } from "../catalogue.ts"
import { gauges, type Instrument } from "../catalogue.ts"
import type { CounterReader } from "../measure/counter.ts"
import type { Readings } from "../measure/readings.ts"

export interface Series {
  readonly attributes: Attributes
  value: number
}

/**
 * Values by instrument and attributes, of all apps in the process. The SDK keeps one number per attribute set: two apps
 * that each told it theirs would overwrite each other.
 */
export class Tally {
  readonly #byInstrument = new Map<Instrument, Map<string, Series>>()

  get byInstrument(): ReadonlyMap<Instrument, ReadonlyMap<string, Series>> {
    return this.#byInstrument
  }

  counters(readers: readonly CounterReader[], constant: Attributes) {
    for (const { instrument, children } of readers)
      for (const { values, value } of children) this.#add(instrument, values, constant, value)
  }

  readings(readings: Readings, constant: Attributes) {
    for (const [instrument, all] of readings.byInstrument)
      for (const { values, value } of all) this.#add(instrument, values, constant, value)
  }

  reading(instrument: Instrument, constant: Attributes, value: number) {
    this.#add(instrument, [], constant, value)
  }

  include(other: Tally) {
    for (const [instrument, all] of other.#byInstrument)
      for (const [key, { attributes, value }] of all) this.#merge(instrument, key, attributes, value)
  }

  #add(instrument: Instrument, values: readonly string[], constant: Attributes, value: number) {
    const attributes = attributesOf(instrument.attributes, values, constant)
    this.#merge(instrument, JSON.stringify(attributes), attributes, value)
  }

  #merge(instrument: Instrument, key: string, attributes: Attributes, value: number) {
    let series = this.#byInstrument.get(instrument)
    if (series === undefined) {
      series = new Map()
      this.#byInstrument.set(instrument, series)
    }
    const known = series.get(key)
    if (known === undefined) series.set(key, { attributes, value })
    else if (isSum(instrument)) known.value += value
    else known.value = Math.max(known.value, value)
  }
}

/** Facts of the cluster, and such as a version, are alike in every app; what each app does adds up. */
function isSum(instrument: Instrument): boolean {
  if (instrument.cluster) return false
  return instrument.kind === "counter" || instrument === gauges.workerSlots
}

/** Empty values are left out: that is what they mean to Prometheus too. */
export function attributesOf(
  names: readonly Attribute[],
  values: readonly string[],
  constant: Attributes,
): Attributes {
  const attributes: Attributes = { ...constant }
  for (const [index, { name }] of names.entries()) if (values[index]) attributes[name] = values[index]
  return attributes
}
