import { type Attribute, counters, histograms, type Instrument, other } from "../catalogue.ts"
import { type Counter, CounterFamily, type CounterReader } from "./counter.ts"
import { type HistogramContext, HistogramFamily } from "./histogram.ts"

type Counters = {
  readonly [K in keyof typeof counters]: CounterFamily<(typeof counters)[K]["attributes"]>
}
type Histograms = {
  readonly [K in keyof typeof histograms]: HistogramFamily<(typeof histograms)[K]["attributes"]>
}

/** Every counter and histogram of the catalogue, empty, under its catalogue key. */
export interface Families extends Counters, Histograms {
  readonly allCounters: readonly CounterReader[]
  readonly allHistograms: readonly HistogramFamily<readonly Attribute[]>[]
}

/** Attributes whose values are not known in advance can run over their limit. */
function isLimited(instrument: Instrument): boolean {
  return instrument !== counters.seriesOverflows && instrument.attributes.some((a) => a.values === undefined)
}

export function createFamilies(context: HistogramContext): Families {
  const overflows = new CounterFamily(counters.seriesOverflows)
  const overflowOf = (instrument: Instrument): Counter | undefined =>
    isLimited(instrument) ? overflows.child(instrument.name) : undefined

  const counterEntries = Object.entries(counters)
    // `cluster.transitions` is read from the store, never counted here.
    .filter(([, instrument]) => instrument !== counters.clusterTransitions)
    .map(([key, instrument]): [string, CounterFamily<readonly Attribute[]>] => [
      key,
      instrument === counters.seriesOverflows
        ? overflows
        : new CounterFamily<readonly Attribute[]>(instrument, overflowOf(instrument)),
    ])
  const histogramEntries = Object.entries(histograms).map(
    ([key, instrument]): [string, HistogramFamily<readonly Attribute[]>] => [
      key,
      new HistogramFamily<readonly Attribute[]>(instrument, context, overflowOf(instrument)),
    ],
  )
  return {
    ...Object.fromEntries([...counterEntries, ...histogramEntries]),
    allCounters: counterEntries.map(([, family]) => family),
    allHistograms: histogramEntries.map(([, family]) => family),
    // Object.fromEntries forgets which key has which attributes; both sides come from the catalogue's own keys.
  } as unknown as Families
}

/** One child per value of a fixed set, so that the hot path picks by property. */
export function each<V extends string, C>(
  values: readonly V[],
  make: (value: V) => C,
): Readonly<Record<V, C>> {
  return Object.fromEntries(values.map((value) => [value, make(value)])) as Record<V, C>
}

/** Children of one open-ended label, at most `limit` of them, then `_OTHER`. */
export class Limited<C> {
  readonly #children = new Map<string, C>()
  readonly #limit: number
  readonly #make: (value: string) => C

  constructor(limit: number, make: (value: string) => C) {
    this.#limit = limit
    this.#make = make
  }

  get(value: string): C {
    const known = this.#children.get(value)
    if (known !== undefined) return known
    if (value !== other && this.#children.size >= this.#limit) return this.get(other)
    const made = this.#make(value)
    this.#children.set(value, made)
    return made
  }
}
