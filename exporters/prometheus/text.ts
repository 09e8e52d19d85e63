/** How Prometheus spells names, labels and numbers. Both formats, so far as they agree. */

export type Format = "text" | "openmetrics"

/** In order: what a series is told apart by. */
export type Labels = readonly (readonly [name: string, value: string])[]

const labelEscapes: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n" }

export function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (c) => labelEscapes[c]!)
}

/** The classic format leaves quotes in help texts alone; OpenMetrics escapes them. */
export function escapeHelp(help: string, format: Format): string {
  return help.replace(format === "text" ? /[\\\n]/g : /[\\"\n]/g, (c) => labelEscapes[c]!)
}

/** `a="1",b="2"`, without braces. A label without a value is no label. */
export function formatLabels(labels: Labels): string {
  return labels
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(",")
}

export function formatNumber(value: number): string {
  if (value === Infinity) return "+Inf"
  if (value === -Infinity) return "-Inf"
  return String(value)
}

/** OpenMetrics wants bounds to look like floats. Alike in both formats, or one series would be two. */
export function formatBound(bound: number): string {
  const text = formatNumber(bound)
  return /^-?\d+$/.test(text) ? `${text}.0` : text
}
