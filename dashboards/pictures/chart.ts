import * as echarts from "echarts"
import { theme } from "./colours.ts"

export const fontFamily = "DejaVu Sans, Liberation Sans, Arial, sans-serif"
export const axisText = { color: theme.faint, fontSize: 13, fontFamily }

/** Draws without a browser. @returns the text of an SVG element */
export function draw(option: echarts.EChartsCoreOption, width: number, height: number): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height })
  chart.setOption({ animation: false, textStyle: { fontFamily }, ...option })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

export function clock(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 19)
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

export const noData = `<div class="none">No data</div>`
