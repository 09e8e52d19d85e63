import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** What is drawn of Grafana's classic form of a dashboard. */
export interface Board {
  readonly uid: string
  readonly title: string
  readonly templating: { readonly list: readonly Variable[] }
  readonly panels: readonly Panel[]
}

export interface Variable {
  readonly name: string
  readonly label: string
  readonly type: "datasource" | "query"
  readonly includeAll: boolean
  readonly allValue?: string
  readonly definition?: string
}

export interface Panel {
  readonly type: "row" | "stat" | "timeseries" | "heatmap" | "table"
  readonly title: string
  readonly gridPos: GridPos
  readonly targets?: readonly Target[]
  readonly fieldConfig?: { readonly defaults: Field; readonly overrides: readonly Override[] }
  readonly options?: Options
  readonly transformations?: readonly Transformation[]
}

export interface GridPos {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

export interface Target {
  readonly refId: string
  readonly expr: string
  readonly legendFormat: string
  readonly instant: boolean
}

export interface Step {
  readonly value: number | null
  readonly color: string
}

export interface Field {
  readonly unit?: string
  readonly decimals?: number
  readonly min?: number
  readonly max?: number
  readonly thresholds?: { readonly steps: readonly Step[] }
  readonly mappings?: readonly {
    readonly options: Readonly<Record<string, { readonly text: string; readonly color: string }>>
  }[]
  readonly custom?: {
    readonly fillOpacity?: number
    readonly stacking?: { readonly mode: string }
    readonly thresholdsStyle?: { readonly mode: string }
  }
}

export interface Override {
  readonly matcher: { readonly options: string }
  readonly properties: readonly { readonly id: string; readonly value: unknown }[]
}

export interface Options {
  readonly graphMode?: string
  readonly sortBy?: readonly { readonly displayName: string; readonly desc: boolean }[]
  readonly exemplars?: { readonly color: string }
}

export interface Transformation {
  readonly id: string
  readonly options: {
    readonly byField?: string
    readonly excludeByName?: Readonly<Record<string, boolean>>
    readonly renameByName?: Readonly<Record<string, string>>
  }
}

/** The dashboards as they are committed. */
export function readBoards(root: string): Board[] {
  const folder = join(root, "dashboards/grafana")
  return readdirSync(folder)
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Board)
}
