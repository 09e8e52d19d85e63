const decimal = ["", " K", " Mil", " Bil"]
const binary = ["B", "KiB", "MiB", "GiB"]
const time: readonly (readonly [from: number, per: number, name: string])[] = [
  [86_400, 86_400, "days"],
  [3600, 3600, "hours"],
  [60, 60, "mins"],
  [1, 1, "s"],
  [1e-3, 1e-3, "ms"],
  [0, 1e-6, "µs"],
]

const formats: Readonly<Record<string, (value: number) => string>> = {
  short: (value) => scaled(value, 1000, decimal).join(""),
  ops: (value) => `${scaled(value, 1000, decimal).join("")} ops/s`,
  bytes: (value) => scaled(value, 1024, binary).join(" "),
  percentunit: (value) => `${round(value * 100)}%`,
  none: round,
  s: seconds,
}

/** A number in a unit, by Grafana's id of it and nearly in Grafana's words. */
export function format(unit: string | undefined, value: number): string {
  const write = formats[unit ?? "short"]
  if (write === undefined) throw new Error(`the unit ${unit} is unknown`)
  if (!Number.isFinite(value)) return value < 0 ? "-∞" : "∞"
  return write(value)
}

/** Three digits that count, and no zeros that say nothing. */
function round(value: number): string {
  const whole = Math.abs(value) >= 100
  return String(whole ? Math.round(value) : Number(value.toPrecision(3)))
}

function scaled(value: number, base: number, names: readonly string[]): [string, string] {
  let power = 0
  let left = value
  while (Math.abs(left) >= base && power < names.length - 1) {
    left /= base
    power++
  }
  return [round(left), names[power] ?? ""]
}

function seconds(value: number): string {
  if (value === 0) return "0 s"
  const size = Math.abs(value)
  const [, per = 1, name = "s"] = time.find(([from]) => size >= from) ?? []
  const text = round(value / per)
  return `${text} ${text === "1" ? name.replace(/(...)s$/, "$1") : name}`
}
