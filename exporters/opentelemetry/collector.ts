import type { Attributes, BatchObservableResult, Meter, Observable } from "@opentelemetry/api"
import { gauges } from "../catalogue/gauges.ts"
import { messagingInstruments } from "../catalogue/messaging.ts"
import { type Instrument, instruments } from "../catalogue.ts"
import type { CounterReader } from "../measure/counter.ts"
import type { Measure } from "../measure/measure.ts"
import { Tally } from "./tally.ts"

/** How long a collection waits for the store; then queue gauges are absent rather than old. */
const queueTimeoutMs = 1000

/** One app's numbers, as a collector reads them. */
export interface Collected {
  readonly measure: Measure
  /** Counters that only this binding has. */
  readonly counters: readonly CounterReader[]
  readonly constant: Attributes
  readonly queueGauges: boolean
}

/** Reads the apps of this process as the SDK collects from one meter. */
export class Collector {
  readonly #apps = new Set<Collected>()
  /** What apps counted that are closed: a total must not fall. */
  readonly #settled = new Tally()
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
    meter.addBatchObservableCallback((result) => this.#observe(result, this.#read()), all)
    meter.addBatchObservableCallback(async (result) => this.#observe(result, await this.#ask()), all)
  }

  join(app: Collected) {
    this.#apps.add(app)
  }

  /** Another meter has the app's totals from now on. */
  leave(app: Collected) {
    this.#apps.delete(app)
  }

  /** The app is closed: its totals stay, what it would have to be asked for goes. */
  settle(app: Collected) {
    if (!this.#apps.delete(app)) return
    this.#settled.counters([...app.measure.counters, ...app.counters], app.constant)
  }

  /** What the process knows of itself. */
  #read(): Tally {
    const tally = new Tally()
    tally.include(this.#settled)
    for (const { measure, counters, constant } of this.#apps) {
      tally.counters([...measure.counters, ...counters], constant)
      tally.readings(measure.readProcess(), constant)
      tally.readings(measure.runtime.read(), {})
    }
    return tally
  }

  /** What the store has to be asked for. */
  async #ask(): Promise<Tally> {
    const tally = new Tally()
    const apps = [...this.#apps].filter((app) => app.queueGauges)
    const answers = await Promise.all(apps.map((app) => app.measure.readQueue(queueTimeoutMs)))
    for (const [index, { constant }] of apps.entries()) {
      const answer = answers[index]
      tally.reading(gauges.storeUp, constant, answer ? 1 : 0)
      if (answer) tally.readings(answer, constant)
    }
    return tally
  }

  #observe(result: BatchObservableResult, tally: Tally) {
    tally.each((instrument, value, attributes) => {
      const observable = this.#observables.get(instrument)
      if (observable) result.observe(observable, value, attributes)
    })
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
