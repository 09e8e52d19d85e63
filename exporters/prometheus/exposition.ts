import { type Instrument, prometheusLabel, prometheusNames } from "../catalogue.ts"
import type { CounterReader } from "../measure/counter.ts"
import type { Exemplar, Histogram, HistogramReader } from "../measure/histogram.ts"
import type { Readings } from "../measure/readings.ts"
import { escapeHelp, type Format, formatBound, formatLabels, formatNumber, type Labels } from "./text.ts"

/** Characters written in one go: a few ms of work, well below what the event loop may be held up. */
const sliceLength = 256 * 1024

/** A family that somebody else keeps, such as prom-client's default metrics. */
export interface ForeignFamily {
  /** As in the classic format: a counter's with `_total`. */
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: readonly { readonly name: string; readonly labels: Labels; readonly value: number }[]
}

export interface Exposed {
  readonly counters: readonly CounterReader[]
  readonly histograms: readonly HistogramReader[]
  readonly readings: readonly Readings[]
  readonly foreign: readonly ForeignFamily[]
}

/**
 * What of a histogram's lines is known before its values are: the beginnings of its buckets, sum and count. All but the
 * first also end the line before, which saves a piece per line where a scrape has a third of a million of them.
 */
type HistogramLines = readonly string[]

interface ReadingLine {
  readonly values: readonly string[]
  readonly text: string
}

/** Writes families in either format. Keeps the fixed beginnings of lines, so that a scrape only adds the values. */
export class Exposition {
  readonly #constant: Labels
  readonly #exemplars: boolean
  readonly #counterLines = new WeakMap<CounterReader, string[]>()
  readonly #readingLines = new WeakMap<Instrument, ReadingLine[]>()
  readonly #histogramLines = new WeakMap<HistogramReader, HistogramLines[]>()

  constructor(constantLabels: Labels, exemplars: boolean) {
    this.#constant = constantLabels
    this.#exemplars = exemplars
  }

  /** Yields slices of text; the event loop turns between two of them. */
  async *render(exposed: Exposed, format: Format): AsyncGenerator<string> {
    let slice = ""
    for (const block of this.#blocks(exposed, format)) {
      slice += block
      if (slice.length < sliceLength) continue
      yield slice
      slice = ""
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (format === "openmetrics") slice += "# EOF\n"
    if (slice !== "") yield slice
  }

  /** One label set's lines are one block: its buckets, sum and count must be of one moment. */
  *#blocks(exposed: Exposed, format: Format): Generator<string> {
    for (const family of exposed.counters) yield* this.#counters(family, format)
    for (const readings of exposed.readings) yield* this.#readings(readings, format)
    for (const family of exposed.histograms) yield* this.#histograms(family, format)
    for (const family of exposed.foreign) yield* this.#foreign(family, format)
  }

  *#counters(family: CounterReader, format: Format): Generator<string> {
    const { instrument, children } = family
    if (children.length === 0) return
    yield header(instrument, format)
    const begun = remembered(this.#counterLines, family)
    const { metric } = prometheusNames(instrument)
    for (let i = 0; i < children.length; i++) {
      const counter = children[i]!
      begun[i] ??= this.#beginning(metric, this.#labels(instrument, counter.values))
      yield `${begun[i]}${formatNumber(counter.value)}\n`
    }
  }

  *#readings(readings: Readings, format: Format): Generator<string> {
    for (const [instrument, values] of readings.byInstrument) {
      yield header(instrument, format)
      const { metric } = prometheusNames(instrument)
      const begun = remembered(this.#readingLines, instrument)
      for (let i = 0; i < values.length; i++) {
        const reading = values[i]!
        // Mostly the same label sets come in the same order, but nothing promises it.
        let line = begun[i]
        if (line === undefined || !same(line.values, reading.values)) {
          line = {
            values: reading.values,
            text: this.#beginning(metric, this.#labels(instrument, reading.values)),
          }
          begun[i] = line
        }
        yield `${line.text}${formatNumber(reading.value)}\n`
      }
    }
  }

  *#histograms(family: HistogramReader, format: Format): Generator<string> {
    const { instrument, children } = family
    if (children.length === 0) return
    yield header(instrument, format)
    const begun = remembered(this.#histogramLines, family)
    const bounds = [...family.bounds, Infinity].map(formatBound)
    const exemplars = this.#exemplars && format === "openmetrics" && instrument.exemplars === true
    for (let i = 0; i < children.length; i++) {
      const histogram = children[i]!
      begun[i] ??= this.#histogramBeginnings(instrument, bounds, histogram)
      yield histogramLines(begun[i]!, histogram, exemplars)
    }
  }

  *#foreign(family: ForeignFamily, format: Format): Generator<string> {
    const counted = family.type === "counter" && format === "openmetrics"
    const name = counted ? family.name.replace(/_total$/, "") : family.name
    yield `# HELP ${name} ${escapeHelp(family.help, format)}\n# TYPE ${name} ${family.type}\n`
    for (const sample of family.samples) {
      const line = counted && !sample.name.endsWith("_total") ? `${sample.name}_total` : sample.name
      yield `${this.#beginning(line, sample.labels)}${formatNumber(sample.value)}\n`
    }
  }

  #histogramBeginnings(
    instrument: Instrument,
    bounds: readonly string[],
    histogram: Histogram,
  ): HistogramLines {
    const { metric } = prometheusNames(instrument)
    const labels = this.#labels(instrument, histogram.values)
    const lines = [
      ...bounds.map((bound) => this.#beginning(`${metric}_bucket`, [...labels, ["le", bound]])),
      this.#beginning(`${metric}_sum`, labels),
      this.#beginning(`${metric}_count`, labels),
    ]
    return lines.map((line, i) => (i === 0 ? line : `\n${line}`))
  }

  #labels(instrument: Instrument, values: readonly string[]): Labels {
    return instrument.attributes.map((a, i) => [prometheusLabel(a.name), values[i] ?? ""])
  }

  #beginning(name: string, labels: Labels): string {
    const inner = formatLabels([...this.#constant, ...labels])
    return inner === "" ? `${name} ` : `${name}{${inner}} `
  }
}

function remembered<K extends object, V>(lines: WeakMap<K, V[]>, family: K): V[] {
  let kept = lines.get(family)
  if (kept === undefined) {
    kept = []
    lines.set(family, kept)
  }
  return kept
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i])
}

function header(instrument: Instrument, format: Format): string {
  const names = prometheusNames(instrument)
  const name = format === "openmetrics" ? names.family : names.metric
  const unit = format === "openmetrics" && names.unit !== "" ? `# UNIT ${name} ${names.unit}\n` : ""
  return `# HELP ${name} ${escapeHelp(instrument.description, format)}\n# TYPE ${name} ${instrument.kind}\n${unit}`
}

function histogramLines(begun: HistogramLines, histogram: Histogram, exemplars: boolean): string {
  const { counts } = histogram
  let text = ""
  let total = 0
  for (let i = 0; i < counts.length; i++) {
    total += counts[i]!
    text += begun[i]! + total
    const exemplar = exemplars ? histogram.exemplars[i] : undefined
    if (exemplar !== undefined) text += formatExemplar(exemplar)
  }
  return `${text}${begun[counts.length]}${formatNumber(histogram.sum)}${begun[counts.length + 1]}${total}\n`
}

function formatExemplar({ traceId, spanId, value, at }: Exemplar): string {
  const labels = formatLabels([
    ["trace_id", traceId],
    ["span_id", spanId],
  ])
  return ` # {${labels}} ${formatNumber(value)} ${(at / 1000).toFixed(3)}`
}
