import * as units from "@grafana/grafana-foundation-sdk/units"
import type { PromQL } from "./promql.ts"

/** Units by Grafana's ids. */
export const unit = {
  perSecond: units.OpsPerSecond,
  count: units.Short,
  seconds: units.Seconds,
  share: units.PercentUnit,
  bytes: units.BytesIEC,
  /** For labels, which have none. */
  none: units.NoUnit,
} as const
export type Unit = (typeof unit)[keyof typeof unit]

/** One question to Prometheus, written once for panels, rules and tests. */
export interface Query {
  readonly unit: Unit
  /** What it shows, and what to do about it. */
  readonly description: string
  /** Of a series, in Grafana's form. */
  readonly legend: string
  /** False where a sound system may have nothing to show: an average of nothing, a worker that says nothing. */
  readonly always: boolean
  readonly promql: (from: PromQL) => string
}

type Question = Omit<Query, "always" | "legend"> & Partial<Pick<Query, "always" | "legend">>

export function query(question: Question): Query {
  return { always: true, legend: "__auto", ...question }
}
