/** A strict parser of both text formats: what it takes is what the formats allow, and a little less. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly exemplar?: Readonly<Record<string, string>>
}

export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly unit: string | undefined
  readonly samples: Sample[]
}

const name = "[a-zA-Z_:][a-zA-Z0-9_:]*"
const number = "(?:[+-]?(?:\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?|Inf)|NaN)"
const labelSet = '\\{((?:[^"{}]|"(?:[^"\\\\\\n]|\\\\[\\\\"n])*")*)\\}'
const sampleLine = new RegExp(
  `^(${name})(?:${labelSet})? (${number})(?: # ${labelSet} (${number}) (\\d+\\.\\d+))?$`,
)
const suffixes: Readonly<Record<string, readonly string[]>> = {
  gauge: [""],
  histogram: ["_bucket", "_sum", "_count"],
}

export function parseExposition(text: string, format: "text" | "openmetrics"): Map<string, Family> {
  const families = new Map<string, Family>()
  const series = new Set<string>()
  let body = text
  if (format === "openmetrics") {
    if (!text.endsWith("\n# EOF\n")) throw new Error("no # EOF at the end")
    body = text.slice(0, -"# EOF\n".length)
  }
  if (!body.endsWith("\n")) throw new Error("the last line does not end")
  let help: { name: string; text: string } | undefined
  let family: Family | undefined
  for (const line of body.slice(0, -1).split("\n")) {
    const meta = /^# (HELP|TYPE|UNIT) (\S+) (.*)$/.exec(line)
    if (meta !== null) {
      const [, kind, of = "", rest = ""] = meta
      if (kind === "HELP") {
        if (families.has(of)) throw new Error(`family ${of} appears twice`)
        help = { name: of, text: rest }
      } else if (kind === "TYPE") {
        if (help?.name !== of) throw new Error(`TYPE of ${of} does not follow its HELP`)
        family = { name: of, type: rest, help: help.text, unit: undefined, samples: [] }
        families.set(of, family)
      } else {
        if (format === "text") throw new Error("the classic format has no UNIT")
        if (family?.name !== of || family.samples.length > 0) throw new Error(`misplaced UNIT of ${of}`)
        if (!of.endsWith(`_${rest}`)) throw new Error(`${of} does not end with its unit ${rest}`)
        family = { ...family, unit: rest }
        families.set(of, family)
      }
      continue
    }
    const sample = parseSample(line, format)
    if (family === undefined) throw new Error(`sample without a family: ${line}`)
    checkName(sample, family, format)
    const key = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`
    if (series.has(key)) throw new Error(`series twice: ${line}`)
    series.add(key)
    family.samples.push(sample)
  }
  for (const found of families.values()) {
    if (found.samples.length === 0) throw new Error(`${found.name} has no samples`)
    if (found.type === "histogram") checkHistogram(found)
  }
  return families
}

function parseSample(line: string, format: string): Sample {
  const match = sampleLine.exec(line)
  if (match === null) throw new Error(`not a sample: ${line}`)
  const [, of = "", labels, value = "", exemplar] = match
  if (exemplar !== undefined && format === "text") throw new Error("the classic format has no exemplars")
  if (exemplar !== undefined && !of.endsWith("_bucket")) throw new Error("exemplars belong on buckets here")
  return {
    name: of,
    labels: parseLabels(labels ?? ""),
    value: toNumber(value),
    ...(exemplar === undefined ? {} : { exemplar: parseLabels(exemplar) }),
  }
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  let rest = text
  while (rest !== "") {
    const match = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,(?=.)|$)/.exec(rest)
    if (match === null) throw new Error(`bad labels: ${text}`)
    const [all, label = "", value = ""] = match
    if (Object.hasOwn(labels, label)) throw new Error(`label ${label} twice`)
    labels[label] = value.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c))
    rest = rest.slice(all.length)
  }
  return labels
}

function toNumber(text: string): number {
  return text.endsWith("Inf") ? (text.startsWith("-") ? -Infinity : Infinity) : Number(text)
}

function checkName(sample: Sample, family: Family, format: string): void {
  const total = format === "openmetrics" ? ["_total"] : [""]
  const allowed = family.type === "counter" ? total : suffixes[family.type]
  if (allowed === undefined) throw new Error(`unknown type ${family.type}`)
  if (!allowed.some((suffix) => sample.name === family.name + suffix)) {
    throw new Error(`${sample.name} does not belong to the ${family.type} ${family.name}`)
  }
}

/** Buckets rise, end with +Inf, and agree with the count. */
function checkHistogram(family: Family): void {
  const groups = new Map<string, { les: number[]; counts: number[]; count?: number; sum?: number }>()
  for (const { name: of, labels, value } of family.samples) {
    const { le, ...rest } = labels
    const key = JSON.stringify(rest)
    const group = groups.get(key) ?? { les: [], counts: [] }
    groups.set(key, group)
    if (of.endsWith("_sum")) group.sum = value
    else if (of.endsWith("_count")) group.count = value
    else {
      if (le === undefined || !/^(\+Inf|-?\d+(\.\d+)?)$/.test(le)) throw new Error(`bad le ${le}`)
      group.les.push(toNumber(le))
      group.counts.push(value)
    }
  }
  for (const [key, { les, counts, count, sum }] of groups) {
    const rising = les.every((le, i) => i === 0 || le > les[i - 1]!)
    const cumulative = counts.every((c, i) => i === 0 || c >= counts[i - 1]!)
    if (!rising || !cumulative || les.at(-1) !== Infinity || counts.at(-1) !== count || sum === undefined) {
      throw new Error(`broken histogram ${family.name}${key}`)
    }
  }
}

/** The value of one series, by the family's name and all its labels; undefined where it is absent. */
export function seriesValue(
  families: ReadonlyMap<string, Family>,
  series: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = JSON.stringify(Object.entries(labels).sort())
  for (const family of families.values()) {
    for (const sample of family.samples) {
      if (sample.name === series && JSON.stringify(Object.entries(sample.labels).sort()) === wanted) {
        return sample.value
      }
    }
  }
  return undefined
}
