import type { Step } from "./board.ts"

/** Grafana's dark theme. */
export const theme = {
  page: "#111217",
  panel: "#181b1f",
  border: "#2a2d33",
  grid: "#2c3036",
  text: "#d5d6df",
  faint: "#9a9ca8",
  link: "#6e9fff",
} as const

const named: Readonly<Record<string, string>> = {
  green: "#56a64b",
  yellow: "#e0b400",
  red: "#e02f44",
  blue: "#3274d9",
}

/** Of series that choose none: Grafana's classic palette. */
export const palette = [
  "#73bf69",
  "#f2cc0c",
  "#8ab8ff",
  "#ff780a",
  "#f2495c",
  "#5794f2",
  "#b877d9",
  "#96d98d",
  "#ffee52",
  "#fade2a",
  "#c0d8ff",
  "#ffb357",
  "#ca95e5",
  "#37872d",
]

/** Of heatmaps: the scheme Oranges as dark themes have it. */
export const oranges = ["#5c1f06", "#a63603", "#e6550d", "#fd8d3c", "#fdbe85", "#feedde"]

export function colour(name: string): string {
  const found = named[name]
  if (found === undefined) throw new Error(`the colour ${name} is unknown`)
  return found
}

/** The colour of the last step that the value reaches. */
export function stepColour(steps: readonly Step[], value: number): string {
  const reached = steps.findLast((step) => step.value === null || value >= step.value) ?? steps[0]
  return colour(reached?.color ?? "green")
}
