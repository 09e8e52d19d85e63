import { type Attribute, type Instrument, other, type ValuesOf } from "../catalogue.ts"

/** The running total of one label set. Resolved once, then kept by whoever adds to it. */
export class Counter {
  value = 0
  readonly values: readonly string[]
  readonly #overflows: Counter | undefined

  constructor(values: readonly string[], overflows: Counter | undefined) {
    this.values = values
    this.#overflows = overflows
  }

  add(amount = 1): void {
    this.value += amount
    if (this.#overflows !== undefined) this.#overflows.value += 1
  }
}

/** What the renderer and the OpenTelemetry binding read of a counter. */
export interface CounterReader {
  readonly instrument: Instrument<"counter">
  /** Only ever appended to. */
  readonly children: readonly Counter[]
}

export class CounterFamily<A extends readonly Attribute[]> implements CounterReader {
  readonly instrument: Instrument<"counter", A>
  readonly children: Counter[] = []
  readonly #byValues = new Map<string, Counter>()
  readonly #overflows: Counter | undefined

  constructor(instrument: Instrument<"counter", A>, overflows?: Counter) {
    this.instrument = instrument
    this.#overflows = overflows
  }

  /** The counter of one label set; made, at 0, on the first call. Not for the hot path: keep what it returns. */
  child(...values: ValuesOf<A>): Counter {
    const key = values.join("\0")
    let counter = this.#byValues.get(key)
    if (counter === undefined) {
      counter = new Counter(values, values.includes(other) ? this.#overflows : undefined)
      this.#byValues.set(key, counter)
      this.children.push(counter)
    }
    return counter
  }
}
