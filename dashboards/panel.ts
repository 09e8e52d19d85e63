import type { Limit } from "./limits.ts"
import type { Query } from "./query.ts"

/** What a panel is, before Grafana's form of it. */
export interface Panel {
  readonly kind: "stat" | "lines" | "heatmap" | "table"
  readonly title: string
  /** Of 24 columns. */
  readonly width: number
  readonly queries: readonly Query[]
  /** That of the first query unless given. */
  readonly description?: string
  readonly colours?: Colours
  /** Lines on top of each other: parts of a whole. */
  readonly stacked?: true
  /** A stat of a whole range or of one instant asks once, and draws no line. */
  readonly instant?: true
  readonly columns?: readonly Column[]
  /** The unit of the axis is the first query's; lines from 0 to here. */
  readonly highest?: number
  readonly words?: Readonly<Record<string, { readonly text: string; readonly colour: string }>>
}

/** Of a table: the label or the query that fills it. */
export interface Column {
  readonly name: string
  readonly colours?: Colours
}

export interface Colours {
  readonly steps: readonly { readonly from: number | null; readonly colour: string }[]
}

/** Green, then yellow, then red. */
export function rising({ warn, bad }: Limit): Colours {
  return {
    steps: [
      { from: null, colour: "green" },
      { from: warn, colour: "yellow" },
      { from: bad, colour: "red" },
    ],
  }
}

/** Red below, green from there on. */
export function atLeast(enough: number): Colours {
  return {
    steps: [
      { from: null, colour: "red" },
      { from: enough, colour: "green" },
    ],
  }
}

export const neutral: Colours = { steps: [{ from: null, colour: "blue" }] }

export interface Row {
  readonly title: string
  /** Of each of its panels. */
  readonly height: number
  readonly panels: readonly Panel[]
}

export interface Board {
  readonly uid: string
  readonly title: string
  readonly description: string
  /** One task, all of them alike, or a choice. */
  readonly tasks: "one" | "many"
  readonly rows: readonly Row[]
}

type Look = Omit<Panel, "kind" | "title" | "width" | "queries">

export function stat(
  title: string,
  query: Query,
  colours: Colours,
  look: Look & { width?: number } = {},
): Panel {
  return { kind: "stat", title, width: 3, queries: [query], colours, ...look }
}

export function lines(title: string, width: number, queries: readonly Query[], look: Look = {}): Panel {
  return { kind: "lines", title, width, queries, ...look }
}

export function heatmap(title: string, width: number, query: Query): Panel {
  return { kind: "heatmap", title, width, queries: [query] }
}

export function table(
  title: string,
  width: number,
  queries: readonly Query[],
  columns: readonly Column[],
): Panel {
  return { kind: "table", title, width, queries, columns }
}
