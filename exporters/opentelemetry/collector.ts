import type { BatchObservableResult, Meter, Observable } from "@opentelemetry/api"
import { messagingInstruments } from "../catalogue/messaging.ts"
import { type Instrument, instruments } from "../catalogue.ts"
import { Apps } from "./apps.ts"
import type { Tally } from "./tally.ts"

/** How long a collection waits for the store. */
export const queueTimeoutMs = 1000

/** Reads the apps of this process as the SDK collects from one meter. */
export class Collector {
  readonly apps = new Apps()
  readonly #observables = new Map<Instrument, Observable>()

  constructor(meter: Meter) {
    for (const instrument of [...instruments, messagingInstruments.sent, messagingInstruments.consumed]) {
      const { kind, name, ...options } = instrument
      const { unit, description } = options
      if (kind === "counter")
        this.#observables.set(instrument, meter.createObservableCounter(name, { unit, description }))
      if (kind === "gauge")
        this.#observables.set(instrument, meter.createObservableGauge(name, { unit, description }))
    }
    const all = [...this.#observables.values()]
    meter.addBatchObservableCallback((result) => this.#observe(result, this.apps.read()), all)
    meter.addBatchObservableCallback(
      async (result) => this.#observe(result, await this.apps.ask(queueTimeoutMs)),
      all,
    )
  }

  #observe(result: BatchObservableResult, tally: Tally) {
    for (const [instrument, all] of tally.byInstrument) {
      const observable = this.#observables.get(instrument)
      if (!observable) continue
      for (const { value, attributes } of all.values()) result.observe(observable, value, attributes)
    }
  }
}

const byMeter = new WeakMap<Meter, Collector>()

/** The one collector of a meter: apps of one process share the global meter. */
export function collectorOf(meter: Meter): Collector {
  let collector = byMeter.get(meter)
  if (collector === undefined) {
    collector = new Collector(meter)
    byMeter.set(meter, collector)
  }
  return collector
}
