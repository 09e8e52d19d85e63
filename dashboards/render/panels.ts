import type { Builder } from "@grafana/grafana-foundation-sdk/cog"
import * as common from "@grafana/grafana-foundation-sdk/common"
import * as grafana from "@grafana/grafana-foundation-sdk/dashboard"
import * as heatmaps from "@grafana/grafana-foundation-sdk/heatmap"
import * as prometheus from "@grafana/grafana-foundation-sdk/prometheus"
import * as stats from "@grafana/grafana-foundation-sdk/stat"
import * as tables from "@grafana/grafana-foundation-sdk/table"
import * as series from "@grafana/grafana-foundation-sdk/timeseries"
import { task } from "../../exporters/catalogue/attributes.ts"
import type { Colours, Panel } from "../panel.ts"
import { labelName, PromQL, type Scope } from "../promql.ts"
import { type Query, unit } from "../query.ts"
import { uids } from "../uids.ts"
import { datasource } from "./variables.ts"

/** Grafana's form of a panel; where it stands is said later. */
export function render(panel: Panel, scope: Scope): grafana.Panel {
  const { title, queries } = panel
  const [first] = queries
  if (first === undefined) throw new Error(`The panel "${title}" asks nothing.`)
  const built = builders[panel.kind](panel, first)
  return built
    .title(title)
    .description(panel.description ?? first.description)
    .datasource(datasource)
    .unit(first.unit)
    .targets(queries.map((query, i) => target(panel, query, scope, String.fromCharCode(65 + i))))
    .build()
}

function target({ kind, instant }: Panel, query: Query, scope: Scope, refId: string) {
  const built = new prometheus.DataqueryBuilder()
    .datasource(datasource)
    .refId(refId)
    .expr(query.promql(new PromQL(scope)))
    .legendFormat(query.legend)
    .editorMode(prometheus.QueryEditorMode.Code)
  if (kind === "table") return built.instant().format(prometheus.PromQueryFormat.Table)
  if (kind === "heatmap") return built.range().format(prometheus.PromQueryFormat.Heatmap).exemplar(true)
  return instant ? built.instant() : built.range()
}

const builders = { stat, lines, heatmap, table }

interface AnyPanel extends Builder<grafana.Panel> {
  title(title: string): AnyPanel
  description(description: string): AnyPanel
  datasource(datasource: common.DataSourceRef): AnyPanel
  unit(unit: string): AnyPanel
  targets(targets: ReturnType<typeof target>[]): AnyPanel
}

function stat({ colours, instant, words }: Panel, first: Query): AnyPanel {
  const panel = new stats.PanelBuilder()
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]))
    .colorMode(common.BigValueColorMode.Background)
    .graphMode(instant ? common.BigValueGraphMode.None : common.BigValueGraphMode.Area)
    .colorScheme(byThresholds())
  if (colours !== undefined) panel.thresholds(thresholds(colours))
  // What increase() extrapolates has fractions, and a job has none.
  if (instant && first.unit === unit.count) panel.decimals(0)
  if (words !== undefined)
    panel.mappings([
      {
        type: grafana.MappingType.ValueToText,
        options: Object.fromEntries(
          Object.entries(words).map(([value, { text, colour }]) => [value, { text, color: colour }]),
        ),
      },
    ])
  return panel
}

function lines({ colours, stacked, highest }: Panel): AnyPanel {
  const panel = new series.PanelBuilder()
    .min(0)
    .lineWidth(1)
    .fillOpacity(stacked ? 30 : 10)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.Table)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(["lastNotNull", "max"]),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder()
        .mode(common.TooltipDisplayMode.Multi)
        .sort(common.SortOrder.Descending),
    )
  if (highest !== undefined) panel.max(highest)
  if (stacked) panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group("A"))
  if (colours !== undefined)
    panel
      .thresholds(thresholds(colours))
      .thresholdsStyle(
        new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed),
      )
  return panel
}

function heatmap(_: Panel, { unit }: Query): AnyPanel {
  return new heatmaps.PanelBuilder()
    .calculate(false)
    .yAxis(new heatmaps.YAxisConfigBuilder().unit(unit).axisPlacement(common.AxisPlacement.Left))
    .rowsFrame(new heatmaps.RowsHeatmapOptionsBuilder().layout(common.HeatmapCellLayout.Auto))
    .color(
      new heatmaps.HeatmapColorOptionsBuilder()
        .mode(heatmaps.HeatmapColorMode.Scheme)
        .scheme("Oranges")
        .steps(64),
    )
    .exemplarsColor("rgba(255,0,255,0.7)")
    .tooltip(new heatmaps.HeatmapTooltipBuilder().mode(common.TooltipDisplayMode.Single).yHistogram(true))
}

/** One row a task, which opens its dashboard. */
function table({ queries, columns = [] }: Panel): AnyPanel {
  const value = (i: number) => (queries.length === 1 ? "Value" : `Value #${String.fromCharCode(65 + i)}`)
  const names = Object.fromEntries(columns.map(({ name }, i) => [value(i), name]))
  const hidden = Object.fromEntries(["Time", "Time 1", "Time 2"].map((name) => [name, true]))
  if (columns.length === 0) hidden.Value = true
  const label = labelName(task)
  const panel = new tables.PanelBuilder()
    .showHeader(true)
    .transformations([
      ...(queries.length > 1 ? [{ id: "joinByField", options: { byField: label, mode: "inner" } }] : []),
      { id: "organize", options: { excludeByName: hidden, renameByName: names } },
    ])
    .overrideByName(label, [{ id: "links", value: [taskLink(label)] }])
  const [first] = columns
  if (first !== undefined)
    panel.sortBy([new common.TableSortByFieldStateBuilder().displayName(first.name).desc(true)])
  for (const [i, { name, colours }] of columns.entries())
    panel.overrideByName(name, [
      { id: "unit", value: queries[i]?.unit },
      ...(colours === undefined
        ? []
        : [
            { id: "thresholds", value: thresholds(colours).build() },
            { id: "custom.cellOptions", value: { type: "color-background", mode: "basic" } },
          ]),
    ])
  return panel
}

/** Opens the Task dashboard on the row's task, with the same choices and the same time. */
function taskLink(label: string) {
  const kept = ["datasource", "job", "instance", "prefix"].map((name) => `\${${name}:queryparam}`)
  const url = `/d/${uids.task}?var-task=\${__data.fields.${label}}&${kept.join("&")}&\${__url_time_range}`
  return { title: "Open the task's dashboard", url, targetBlank: false }
}

function thresholds({ steps }: Colours): grafana.ThresholdsConfigBuilder {
  return new grafana.ThresholdsConfigBuilder()
    .mode(grafana.ThresholdsMode.Absolute)
    .steps(steps.map(({ from, colour }) => ({ value: from, color: colour })))
}

function byThresholds(): grafana.FieldColorBuilder {
  return new grafana.FieldColorBuilder().mode(grafana.FieldColorModeId.Thresholds)
}
