import type { GridPos, Panel } from "./board.ts"

/** Of a picture, in pixels. */
export const pageWidth = 1600
export const headHeight = 64
const margin = 12
const gap = 8
const columns = 24
/** Of one unit of the grid, without the gap below. */
const unitHeight = 30

export interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** Grafana's grid: 24 columns, gaps between the panels but not within. */
export function boxOf({ x, y, w, h }: GridPos): Box {
  const column = (pageWidth - 2 * margin + gap) / columns
  return {
    left: Math.round(margin + x * column),
    top: headHeight + y * (unitHeight + gap),
    width: Math.round(margin + (x + w) * column) - gap - Math.round(margin + x * column),
    height: h * (unitHeight + gap) - gap,
  }
}

export function pageHeight(panels: readonly Panel[]): number {
  return (
    Math.max(...panels.map(({ gridPos }) => boxOf(gridPos)).map(({ top, height }) => top + height)) + margin
  )
}
