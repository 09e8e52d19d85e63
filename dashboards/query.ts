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

/**
 * One question to Prometheus, written once for panels, rules and tests. The contract test wants data for each of them
 * from its workload: a question that nothing can answer has no place on a panel.
 */
export interface Query {
  readonly unit: Unit
  /** What it shows, and what to do about it. */
  readonly description: string
  /** Of a series, in Grafana's form. */
  readonly legend: string
  readonly promql: (from: PromQL) => string
}

export function query(question: Query): Query {
  return question
}
