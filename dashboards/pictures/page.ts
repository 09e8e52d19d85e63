import type { Board, Panel } from "./board.ts"
import { clock, escapeHtml, fontFamily } from "./chart.ts"
import { theme } from "./colours.ts"
import { heatmap } from "./heatmap.ts"
import { boxOf, headHeight, pageHeight, pageWidth } from "./layout.ts"
import { lines } from "./lines.ts"
import type { PanelData } from "./panel-data.ts"
import type { Range } from "./prometheus.ts"
import { stat } from "./stat.ts"
import { table } from "./table.ts"
import type { Choices } from "./variables.ts"

const titleHeight = 34

/** A dashboard as one page without scripts. */
export function page(
  board: Board,
  answers: ReadonlyMap<Panel, PanelData>,
  { choices, range }: { readonly choices: Choices; readonly range: Range },
): string {
  const panels = board.panels.map((panel) => place(panel, answers.get(panel)))
  return `<!doctype html><meta charset="utf-8"><title>${escapeHtml(board.title)}</title><style>${style(board)}</style>
<header>${head(board, choices, range)}</header>${panels.join("\n")}`
}

function head({ title, templating }: Board, choices: Choices, { from, to }: Range): string {
  const boxes = templating.list.map(
    ({ name, label }) =>
      `<span class="choice"><em>${label}</em>${escapeHtml(choices.get(name)?.text ?? "")}</span>`,
  )
  return `<strong>${escapeHtml(title)}</strong>${boxes.join("")}<span class="range">${clock(from)} to ${clock(to)} UTC</span>`
}

function place(panel: Panel, data: PanelData | undefined): string {
  const { left, top, width, height } = boxOf(panel.gridPos)
  const at = `left:${left}px;top:${top}px;width:${width}px;height:${height}px`
  if (panel.type === "row") return `<h2 style="${at}">${escapeHtml(panel.title)}</h2>`
  if (data === undefined) throw new Error(`nobody asked for ${panel.title}`)
  // Without the panel's borders.
  const inner = { width: width - 2, height: height - titleHeight - 2 }
  return `<section style="${at}"><h3>${escapeHtml(panel.title)}</h3>${content(panel, data, inner)}</section>`
}

function content(panel: Panel, data: PanelData, size: { width: number; height: number }): string {
  switch (panel.type) {
    case "stat":
      return stat(panel, data, size)
    case "timeseries":
      return lines(panel, data, size)
    case "heatmap":
      return heatmap(panel, data, size)
    case "table":
      return table(panel, data)
    default:
      throw new Error(`nobody can draw a ${panel.type}`)
  }
}

function style({ panels }: Board): string {
  return `
* { box-sizing: border-box; margin: 0; }
body { width: ${pageWidth}px; height: ${pageHeight(panels)}px; position: relative; overflow: hidden;
  background: ${theme.page}; color: ${theme.text}; font: 14px/20px ${fontFamily}; }
header { height: ${headHeight - 8}px; padding: 0 16px; display: flex; align-items: center; gap: 12px; }
header strong { font-size: 20px; margin-right: 12px; }
.choice { border: 1px solid ${theme.border}; background: ${theme.panel}; padding: 5px 10px; border-radius: 2px; }
.choice em { font-style: normal; color: ${theme.link}; margin-right: 8px; }
.range { margin-left: auto; color: ${theme.faint}; }
h2 { position: absolute; font-size: 16px; line-height: 30px; padding-left: 4px; }
section { position: absolute; background: ${theme.panel}; border: 1px solid ${theme.border}; border-radius: 2px; overflow: hidden; }
h3 { font-size: 15px; font-weight: 600; line-height: ${titleHeight}px; height: ${titleHeight}px; padding-left: 10px;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
svg { display: block; }
.stat { position: relative; display: flex; flex-direction: column; align-items: center; justify-content: center; color: #fff; }
.stat b { position: relative; z-index: 1; line-height: 1.2; white-space: nowrap; }
.stat small { font-size: 15px; }
.stat svg, .stat > div { position: absolute !important; bottom: 0; left: 0; }
.none { color: ${theme.faint}; text-align: center; padding-top: 40px; font-size: 16px; }
.faint, .legend th { color: ${theme.faint}; font-weight: normal; }
.legend { display: flex; gap: 24px; padding: 2px 14px 6px; align-items: flex-start; }
.legend table { flex: 1; border-collapse: collapse; table-layout: fixed; min-width: 0; }
.legend td, .legend th { padding: 0; height: 20px; text-align: right; width: 92px; white-space: nowrap; font-size: 13px; }
.legend td:first-child, .legend th:first-child { text-align: left; width: auto; overflow: hidden; text-overflow: ellipsis; }
.legend i { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin: 0 8px 3px 0; }
.rows { width: 100%; border-collapse: collapse; }
.rows th { text-align: left; color: ${theme.link}; font-weight: 600; }
.rows th, .rows td { padding: 7px 12px; border-bottom: 1px solid ${theme.border}; }
.rows .number { text-align: right; }
`
}
