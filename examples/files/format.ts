import { styleText } from "node:util"

const colourful = process.stdout.isTTY && !process.env.NO_COLOR

type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan"

/** Coloured on a terminal, plain in a file or a pipe. */
export function styled(style: Style, text: string): string {
  return colourful ? styleText(style, text) : text
}

export function count(value: number): string {
  return value.toLocaleString("en-US")
}

/** `one("file", 3)`: "3 files" */
export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : plural}`
}

const sizes = ["B", "KiB", "MiB", "GiB"]

export function bytes(value: number): string {
  const power = value < 1 ? 0 : Math.min(sizes.length - 1, Math.floor(Math.log2(value) / 10))
  const amount = value / 1024 ** power
  return `${power === 0 ? amount : amount.toFixed(1)} ${sizes[power]}`
}

/** What `--max-bytes 256MiB` and the like mean; undefined for anything that is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) *(B|KiB|MiB|GiB|)$/i.exec(text.trim())
  if (!match) return undefined
  const power = sizes.findIndex((size) => size.toLowerCase() === match[2]!.toLowerCase())
  return Math.floor(Number(match[1]) * 1024 ** Math.max(0, power))
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** Rows under a heading: the first column to the left, the others to the right. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((_, i) => Math.max(...[heading, ...rows].map((row) => (row[i] ?? "").length)))
  const line = (row: readonly string[]) =>
    `  ${widths.map((width, i) => (i === 0 ? (row[i] ?? "").padEnd(width) : (row[i] ?? "").padStart(width))).join("   ")}`.trimEnd()
  return [styled("dim", line(heading)), ...rows.map(line)].join("\n")
}
