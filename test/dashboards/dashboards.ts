import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type * as grafana from "@grafana/grafana-foundation-sdk/dashboard"
import type { Dataquery } from "@grafana/grafana-foundation-sdk/prometheus"
import { root } from "../support/repository.ts"

export interface LoadedPanel extends grafana.Panel {
  readonly targets: Dataquery[]
}

/** A dashboard as it is committed. */
export interface Loaded {
  readonly file: string
  readonly json: grafana.Dashboard
  /** Rows apart. */
  readonly panels: readonly LoadedPanel[]
}

const folder = join(root, "dashboards/grafana")

export const dashboards: readonly Loaded[] = readdirSync(folder)
  .sort()
  .map((file) => {
    const json = JSON.parse(readFileSync(join(folder, file), "utf8")) as grafana.Dashboard
    const panels = (json.panels ?? []).filter((panel): panel is LoadedPanel => panel.type !== "row")
    return { file, json, panels }
  })

export interface Target {
  readonly name: string
  readonly expr: string
}

/** Every query of every panel. */
export const targets: readonly Target[] = dashboards.flatMap(({ json, panels }) =>
  panels.flatMap((panel) =>
    panel.targets.map(({ refId, expr }) => ({ name: `${json.title}: ${panel.title} ${refId}`, expr })),
  ),
)

/** What Grafana puts in the place of its variables; everything, unless told otherwise. */
export function substitute(expr: string, values: Readonly<Record<string, string>> = {}): string {
  const all: Readonly<Record<string, string>> = {
    $__rate_interval: "1m",
    $__range: "1h",
    $job: ".+",
    $instance: ".+",
    $prefix: ".*",
    $task: ".*",
    ...values,
  }
  return expr.replace(/\$\w+/g, (name) => {
    const value = all[name]
    if (value === undefined) throw new Error(`${name} is no variable of these dashboards`)
    return value
  })
}
