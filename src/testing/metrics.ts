import type { Measure } from "../../exporters/measure/measure.ts"
import { invalid } from "../model/options.ts"

/** What was counted, by the names of the catalogue (docs/metrics.md). */
export class RecordedMetrics {
  /** What had been counted when the runner was cleared last. */
  private readonly forgotten = new Map<string, number>()

  constructor(private readonly measure: () => Measure) {}

  /**
   * The value of a counter, or how often a histogram was recorded, summed over all label sets that have these attributes:
   * `metrics.value("taskora.jobs.failed", { task: "charge", cause: "timeout" })`
   * @throws TaskoraError (`INVALID`) for a name that is none of a counter's or histogram's, or an attribute that it has not
   */
  value(name: string, attributes: Readonly<Record<string, string>> = {}): number {
    const rows = this.rows().filter((row) => row.name === name)
    const known = this.instruments().find(({ instrument }) => instrument.name === name)?.instrument
    if (!known) throw invalid(`metrics: nothing is counted under "${name}"; docs/metrics.md has the names`)
    const names = known.attributes.map((attribute) => attribute.name)
    for (const attribute of Object.keys(attributes))
      if (!names.includes(attribute))
        throw invalid(
          `metrics: "${name}" has no attribute "${attribute}"; it has: ${names.join(", ") || "none"}`,
        )
    return rows
      .filter((row) => Object.entries(attributes).every(([key, value]) => row.attributes[key] === value))
      .reduce((sum, row) => sum + row.value, 0)
  }

  /** Everything that is not 0. */
  all(): { name: string; attributes: Readonly<Record<string, string>>; value: number }[] {
    return this.rows().filter(({ value }) => value !== 0)
  }

  /** @internal Counts from 0 again. */
  clear(): void {
    const rows = this.rows()
    for (const row of rows) this.forgotten.set(keyOf(row), row.value + (this.forgotten.get(keyOf(row)) ?? 0))
  }

  private rows() {
    return this.instruments().flatMap(({ instrument, children }) =>
      children.map((child) => {
        const names = instrument.attributes.map((attribute) => attribute.name)
        const attributes = Object.fromEntries(names.map((key, i) => [key, child.values[i] ?? ""]))
        const row = { name: instrument.name, attributes, value: countOf(child) }
        return { ...row, value: row.value - (this.forgotten.get(keyOf(row)) ?? 0) }
      }),
    )
  }

  private instruments() {
    const { counters, histograms } = this.measure()
    return [...counters, ...histograms] as readonly {
      readonly instrument: {
        readonly name: string
        readonly attributes: readonly { readonly name: string }[]
      }
      readonly children: readonly Child[]
    }[]
  }
}

interface Child {
  readonly values: readonly string[]
  readonly value?: number
  readonly counts?: readonly number[]
}

function countOf({ value, counts }: Child): number {
  return value ?? counts?.reduce((sum, count) => sum + count, 0) ?? 0
}

function keyOf({ name, attributes }: { name: string; attributes: Readonly<Record<string, string>> }): string {
  return JSON.stringify([name, attributes])
}
