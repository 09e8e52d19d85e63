import type { Attributes } from "@opentelemetry/api"
import { gauges } from "../catalogue/gauges.ts"
import type { CounterReader } from "../measure/counter.ts"
import type { HistogramReader } from "../measure/histogram.ts"
import type { Measure } from "../measure/measure.ts"
import { Distributions } from "./distributions.ts"
import { Tally } from "./tally.ts"

/** One app's numbers, as they are collected. */
export interface Collected {
  readonly measure: Measure
  /** What only this binding has. */
  readonly counters: readonly CounterReader[]
  readonly histograms: readonly HistogramReader[]
  readonly constant: Attributes
  readonly queueGauges: boolean
}

/** The apps of this process that are shown in one place: their numbers add up. */
export class Apps {
  readonly #apps = new Set<Collected>()
  /** What apps counted that are closed: a total must not fall. */
  readonly #settledTally = new Tally()
  readonly #settledDistributions = new Distributions()
  /** Of Taskora, for the instrumentation scope. */
  version = ""

  join(app: Collected) {
    this.#apps.add(app)
    this.version = app.measure.source.version
  }

  /** The app's totals are shown somewhere else from now on. */
  leave(app: Collected) {
    this.#apps.delete(app)
  }

  /** The app is closed: its totals stay, what it would have to be asked for goes. */
  settle(app: Collected) {
    if (!this.#apps.delete(app)) return
    addCounters(this.#settledTally, app)
    addHistograms(this.#settledDistributions, app)
  }

  /** Numbers that the process knows of itself. */
  read(): Tally {
    const tally = new Tally()
    tally.include(this.#settledTally)
    for (const app of this.#apps) {
      addCounters(tally, app)
      tally.readings(app.measure.readProcess(), app.constant)
      if (!app.queueGauges)
        tally.reading(gauges.storeUp, app.constant, app.measure.source.connected() ? 1 : 0)
      tally.readings(app.measure.runtime.read(), {})
    }
    return tally
  }

  readHistograms(): Distributions {
    const distributions = new Distributions()
    distributions.include(this.#settledDistributions)
    for (const app of this.#apps) addHistograms(distributions, app)
    return distributions
  }

  /** What the store has to be asked for; without an answer in time queue gauges are absent rather than old. */
  async ask(timeoutMs: number): Promise<Tally> {
    const tally = new Tally()
    const apps = [...this.#apps].filter((app) => app.queueGauges)
    const answers = await Promise.all(apps.map((app) => app.measure.readQueue(timeoutMs)))
    for (const [index, { constant }] of apps.entries()) {
      const answer = answers[index]
      tally.reading(gauges.storeUp, constant, answer ? 1 : 0)
      if (answer) tally.readings(answer, constant)
    }
    return tally
  }
}

function addCounters(tally: Tally, { measure, counters, constant }: Collected) {
  tally.counters(measure.counters, constant)
  tally.counters(counters, constant)
}

function addHistograms(distributions: Distributions, { measure, histograms, constant }: Collected) {
  distributions.add(measure.histograms, constant)
  distributions.add(histograms, constant)
}
