import type { Mode, Session, Setting } from "./contestants/contestant.ts"
import type { ContestantName } from "./contestants/find.ts"
import type { Meter } from "./harness/meter.ts"

/** What one run measured, by name. */
export type Sample = Readonly<Record<string, number>>

/** One who runs a row: a contestant in a setting. */
export interface Entry {
  /** Shown, and named by comparisons. */
  readonly label: string
  readonly contestant: ContestantName
  readonly mode?: Mode
  /** A number that the row gives a meaning to. */
  readonly n?: number
}

export interface Measure {
  readonly name: string
  readonly unit: string
  readonly better: "more" | "less" | "neither"
}

export type Limit = { readonly least: number } | { readonly most: number }

/** What one entry's own measure must keep to, in the median or in its best round. */
export interface Bound {
  readonly of: string
  readonly measure: string
  readonly limit: Limit
  readonly best?: true
}

/** The median of one entry's measure over that of another. */
export interface Comparison {
  readonly measure: string
  readonly of: string
  readonly to: string
  /** Of the entry `to`, where it is called differently there. */
  readonly toMeasure?: string
  readonly target: Limit | undefined
}

/** A line of the bench: a workload, who runs it, what is measured, and what is expected. */
export interface Row {
  readonly name: string
  readonly title: string
  readonly entries: readonly Entry[]
  readonly measures: readonly Measure[]
  readonly compare: readonly Comparison[]
  readonly bounds?: readonly Bound[]
  /** At most so many rounds: for long rows. */
  readonly rounds?: number
  measure(stage: Stage): Promise<Sample>
  /** What other processes of this row do. */
  readonly roles?: Readonly<Record<string, (stage: Stage) => Promise<Role>>>
}

/** Functions of another process, called from the measuring one. */
export type Role = Readonly<Record<string, () => unknown>>

export interface Helper {
  ask<T>(question: string): Promise<T>
  /** Lets the process close what it opened, and end. */
  end(): Promise<void>
}

/** What a row's code finds in its process. */
export interface Stage {
  readonly entry: Entry
  readonly url: string
  readonly meter: Meter
  readonly quick: boolean
  /** The size given, or less in a quick run. */
  size(full: number): number
  /** Closed when the row has been measured. */
  open(setting?: Partial<Setting>): Promise<Session>
  /** Starts a process that plays a role of this row. */
  helper(role: string): Promise<Helper>
  /** Spans that reached the exporter since the start, by the first word of their names. */
  spans(operation: string): Promise<number>
}

export const both: readonly Entry[] = [
  { label: "taskora", contestant: "taskora" },
  { label: "bullmq", contestant: "bullmq" },
]

/** Taskora over BullMQ. */
export function versus(measure: string, target?: Limit): Comparison {
  return { measure, of: "taskora", to: "bullmq", target }
}
