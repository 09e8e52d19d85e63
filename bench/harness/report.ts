import type { Comparison, Limit, Row, Sample } from "../row.ts"
import { median, spread } from "./statistics.ts"

/** What a row's entries measured: by entry, a sample for each round. */
export type Samples = ReadonlyMap<string, readonly Sample[]>

export interface Verdict {
  readonly text: string
  readonly value: number
  readonly limit: string
  readonly held: boolean | undefined
}

/** A row as it is written to the JSON file. */
export interface RowReport {
  readonly name: string
  readonly title: string
  /** Load of the machine's last minute before the row. */
  readonly load: number
  readonly entries: readonly {
    readonly label: string
    readonly medians: Sample
    readonly spreads: Sample
    readonly rounds: readonly Sample[]
  }[]
  readonly verdicts: readonly Verdict[]
}

export function reportRow(row: Row, samples: Samples, load: number): RowReport {
  const entries = [...samples].map(([label, rounds]) => ({
    label,
    medians: over(rounds, median),
    spreads: over(rounds, spread),
    rounds,
  }))
  const find = (label: string, measure: string) =>
    entries.find((one) => one.label === label)?.medians[measure]
  const verdicts: Verdict[] = []
  for (const comparison of row.compare) {
    const of = find(comparison.of, comparison.measure)
    const to = find(comparison.to, comparison.toMeasure ?? comparison.measure)
    if (of !== undefined && to !== undefined) verdicts.push(compared(comparison, of / to))
  }
  for (const { of, measure, limit, best } of row.bounds ?? []) {
    const rounds = (samples.get(of) ?? []).map((sample) => sample[measure]!)
    if (rounds.length === 0) continue
    const value = best ? bestOf(rounds, limit) : median(rounds)
    verdicts.push({
      text: `${measure} of ${of}${best ? ", best round" : ""}`,
      value,
      ...judged(value, limit),
    })
  }
  return { name: row.name, title: row.title, load, entries, verdicts }
}

function compared({ measure, of, to, toMeasure, target }: Comparison, value: number): Verdict {
  const text = `${measure}: ${of} / ${to}${toMeasure ? ` (${toMeasure})` : ""}`
  return { text, value, ...judged(value, target) }
}

function judged(value: number, limit: Limit | undefined): Pick<Verdict, "limit" | "held"> {
  if (!limit) return { limit: "", held: undefined }
  if ("least" in limit) return { limit: `>= ${limit.least}`, held: value >= limit.least }
  return { limit: `<= ${limit.most}`, held: value <= limit.most }
}

function bestOf(values: readonly number[], limit: Limit): number {
  return "least" in limit ? Math.max(...values) : Math.min(...values)
}

function over(rounds: readonly Sample[], summary: (values: readonly number[]) => number): Sample {
  const names = Object.keys(rounds[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, summary(rounds.map((sample) => sample[name]!))]))
}

/** The row for a terminal. */
export function rowText(row: Row, report: RowReport): string {
  const lines = [`${report.name}: ${report.title}  (load ${report.load})`]
  const width = Math.max(...report.entries.map(({ label }) => label.length))
  for (const { label, medians, spreads } of report.entries) {
    const values = row.measures
      .filter(({ name }) => medians[name] !== undefined)
      .map(({ name, unit }) => `${shown(medians[name]!)} ${unit} +-${spreads[name]!.toFixed(0)}%`)
    lines.push(`  ${label.padEnd(width)}  ${values.join("   ")}`)
  }
  for (const { text, value, limit, held } of report.verdicts) {
    const verdict = held === undefined ? "" : held ? "  held" : "  NOT HELD"
    lines.push(`  = ${text}: ${value.toFixed(2)}${limit && `  (${limit})`}${verdict}`)
  }
  return lines.join("\n")
}

/** The summary: one line for each comparison. */
export function summaryTable(reports: readonly RowReport[]): string {
  const lines = ["| row | measured | value | wanted | |", "| --- | --- | --- | --- | --- |"]
  for (const { name, verdicts } of reports)
    for (const { text, value, limit, held } of verdicts)
      lines.push(
        `| ${name} | ${text} | ${value.toFixed(2)} | ${limit} | ${held === false ? "not held" : held ? "held" : ""} |`,
      )
  return lines.join("\n")
}

/** Three significant digits, thousands apart. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US")
  return String(Number(value.toPrecision(3)))
}
