/** The words in which the catalogue is written: what an instrument is, and the attributes that several share. */

export type Kind = "counter" | "gauge" | "histogram"

export interface Attribute<V extends string = string> {
  /** The OpenTelemetry name; Prometheus spells its dots as underscores. */
  readonly name: string
  /** Every value it can have, where these are known in advance. */
  readonly values?: readonly V[]
}

export interface Instrument<K extends Kind = Kind, A extends readonly Attribute[] = readonly Attribute[]> {
  readonly kind: K
  readonly name: string
  /** UCUM, as OpenTelemetry writes it: `s`, `By`, `1`, an annotation such as `{job}`, or nothing. */
  readonly unit: string
  readonly attributes: A
  readonly description: string
  /** Upper bounds of a histogram's buckets, in the instrument's unit. */
  readonly buckets?: readonly number[]
  /** A fact about the whole cluster, alike in every process: aggregate it with `max by`, never with `sum`. */
  readonly cluster?: true
  /** Its buckets carry the last sampled trace. */
  readonly exemplars?: true
}

/** The attribute values of one series, in the instrument's order. */
export type ValuesOf<A extends readonly Attribute[]> = {
  readonly [I in keyof A]: A[I] extends { readonly values: readonly (infer V extends string)[] } ? V : string
}

/** Where measurements go whose own label is refused: the value that the OpenTelemetry SDK knows too. */
export const other = "_OTHER"

export function open(name: string): Attribute {
  return { name }
}

export function closed<const V extends string>(name: string, values: readonly V[]): Required<Attribute<V>> {
  return { name, values }
}

export function counter<const A extends readonly Attribute[]>(
  name: string,
  unit: string,
  attributes: A,
  description: string,
): Instrument<"counter", A> {
  return { kind: "counter", name, unit, attributes, description }
}

export function gauge<const A extends readonly Attribute[]>(
  name: string,
  unit: string,
  attributes: A,
  description: string,
): Instrument<"gauge", A> {
  return { kind: "gauge", name, unit, attributes, description }
}

export type HistogramInstrument<A extends readonly Attribute[] = readonly Attribute[]> = Instrument<
  "histogram",
  A
> & { readonly buckets: readonly number[] }

export function histogram<const A extends readonly Attribute[]>(
  name: string,
  unit: string,
  attributes: A,
  buckets: readonly number[],
  description: string,
): HistogramInstrument<A> {
  return { kind: "histogram", name, unit, attributes, buckets, description }
}

/** Marks a fact about the whole cluster. */
export function clusterWide<I extends Instrument>(instrument: I): I & { readonly cluster: true } {
  return { ...instrument, cluster: true }
}
