/** PromQL from instruments. A query names no metric and no label itself: it asks a scope for series of the catalogue. */

import { task } from "../exporters/catalogue/attributes.ts"
import { open } from "../exporters/catalogue/instrument.ts"
import {
  type Attribute,
  type HistogramInstrument,
  type Instrument,
  prometheusLabel,
  prometheusName,
  runtimeGauges,
} from "../exporters/catalogue.ts"

/** Labels that a scraper or a collector adds, and the constant one of an app with a prefix. */
export const job = open("job")
export const instance = open("instance")
export const prefix = open("prefix")
const bound = open("le")

/** Where a query is evaluated: under a dashboard's variables, or in a rule over all that Prometheus knows. */
export interface Scope {
  /** Matchers of every series. */
  readonly all: readonly string[]
  /** Those of all series that speak of an app; the runtime's speak of a process, and have no prefix over OTLP. */
  readonly apps: readonly string[]
  /** Those of the series that have a task. */
  readonly tasks: readonly string[]
  /** The range under `rate()`. */
  readonly window: string
  /** What tells clusters apart: their facts are alike in every process, and taken once for each. */
  readonly cluster: readonly Attribute[]
}

/** Over everything: by job too, so that clusters with the same tasks are not mixed up. */
export function ruleScope(window: string): Scope {
  return { all: [], apps: [], tasks: [], window, cluster: [job, prefix] }
}

export interface Matcher {
  readonly attribute: Attribute
  readonly text: string
}

export function is<V extends string>(attribute: Attribute<V>, ...values: readonly V[]): Matcher {
  return matcher(attribute, values, ["=", "=~"])
}

export function isNot<V extends string>(attribute: Attribute<V>, ...values: readonly V[]): Matcher {
  return matcher(attribute, values, ["!=", "!~"])
}

function matcher(attribute: Attribute, values: readonly string[], [one, several]: [string, string]): Matcher {
  const operator = values.length === 1 ? one : several
  return { attribute, text: `${labelName(attribute)}${operator}"${values.join("|")}"` }
}

export interface Selection {
  /** Labels that remain. None: one number. */
  readonly by?: readonly Attribute[]
  readonly where?: readonly Matcher[]
}

const ofRuntime: readonly Instrument[] = Object.values(runtimeGauges)

type Counter = Instrument<"counter">
type Gauge = Instrument<"gauge">

/** Writes PromQL for one scope. Facts of processes are added up; those of the cluster are taken once, and then added up. */
export class PromQL {
  readonly scope: Scope

  constructor(scope: Scope) {
    this.scope = scope
  }

  /** Per second, over the scope's window. */
  rate(counter: Counter, selection: Selection = {}): string {
    return this.#add(
      counter,
      `rate(${this.#series(counter, "", selection)}[${this.scope.window}])`,
      selection,
    )
  }

  /** In all over a range, or over the scope's window. */
  increase(counter: Counter, selection: Selection = {}, range = this.scope.window): string {
    return this.#add(counter, `increase(${this.#series(counter, "", selection)}[${range}])`, selection)
  }

  value(gauge: Gauge, selection: Selection = {}): string {
    return this.#add(gauge, this.#series(gauge, "", selection), selection)
  }

  /** The largest value; of a cluster's fact the only one. */
  largest(gauge: Gauge, selection: Selection = {}): string {
    return aggregate("max", selection.by, this.#series(gauge, "", selection))
  }

  /** The largest value as it was one window ago. */
  largestBefore(gauge: Gauge, selection: Selection = {}): string {
    const series = this.#series(gauge, "", selection)
    return aggregate("max", selection.by, `${series} offset ${this.scope.window}`)
  }

  smallest(gauge: Gauge, selection: Selection = {}): string {
    return aggregate("min", selection.by, this.#series(gauge, "", selection))
  }

  quantile(share: number, histogram: HistogramInstrument, selection: Selection = {}): string {
    const by = [...(selection.by ?? []), bound]
    return `histogram_quantile(${share}, ${aggregate("sum", by, this.#parts(histogram, "_bucket", "rate", selection))})`
  }

  /** The buckets of a heatmap. */
  buckets(histogram: HistogramInstrument, selection: Selection = {}): string {
    return aggregate("sum", [bound], this.#parts(histogram, "_bucket", "increase", selection))
  }

  average(histogram: HistogramInstrument, selection: Selection = {}): string {
    const part = (suffix: string) =>
      aggregate("sum", selection.by, this.#parts(histogram, suffix, "rate", selection))
    return `${part("_sum")} / (${part("_count")} > 0)`
  }

  /** Records of a histogram per second. */
  records(histogram: HistogramInstrument, selection: Selection = {}): string {
    return aggregate("sum", selection.by, this.#parts(histogram, "_count", "rate", selection))
  }

  #parts(of: HistogramInstrument, suffix: string, fn: "rate" | "increase", selection: Selection): string {
    return `${fn}(${this.#series(of, suffix, selection)}[${this.scope.window}])`
  }

  #series(of: Instrument, suffix: string, { by = [], where = [] }: Selection): string {
    check(of, [...by, ...where.map(({ attribute }) => attribute)])
    const { all, apps, tasks } = this.scope
    const matchers = [
      ...all,
      ...(ofRuntime.includes(of) ? [] : apps),
      ...(of.attributes.includes(task) ? tasks : []),
      ...where.map(({ text }) => text),
    ]
    const name = `${prometheusName(of)}${suffix}`
    return matchers.length === 0 ? name : `${name}{${matchers.join(", ")}}`
  }

  #add(of: Instrument, series: string, { by = [] }: Selection): string {
    if (!of.cluster) return aggregate("sum", by, series)
    const each = [...this.scope.cluster, ...of.attributes]
    const once = aggregate("max", each, series)
    return each.length === by.length && each.every((a) => by.includes(a)) ? once : aggregate("sum", by, once)
  }
}

/** A query for labels that an instrument does not have would be empty for ever. */
function check(of: Instrument, attributes: readonly Attribute[]): void {
  const known: readonly Attribute[] = [job, instance, prefix, ...of.attributes]
  const unknown = attributes.find((a) => !known.includes(a))
  if (unknown !== undefined) throw new Error(`${of.name} has no attribute ${unknown.name}.`)
}

export function labelName(attribute: Attribute): string {
  return prometheusLabel(attribute.name)
}

export function aggregate(
  operation: "sum" | "max" | "min" | "count",
  by: readonly Attribute[] = [],
  of: string,
) {
  const labels = by.map(labelName).join(", ")
  return labels === "" ? `${operation}(${of})` : `${operation} by (${labels}) (${of})`
}

/** A share of a whole; 0 where nothing happened, so that silence is not an error. */
export function ratio(part: string, whole: string): string {
  return `(${part} / (${whole} > 0)) or (${part} * 0)`
}

/** Of two counts of the same, each of which may miss some. */
export function larger(one: string, other: string): string {
  return `(${one} > ${other}) or ${other} or ${one}`
}

export function top(count: number, of: string): string {
  return `topk(${count}, ${of})`
}
