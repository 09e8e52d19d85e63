/**
 * The rules by which OpenTelemetry's metrics become Prometheus's, as OpenTelemetry documents them ("Prometheus and
 * OpenMetrics Compatibility"), written for the tests alone: it shares nothing with the package, so that a name which is
 * wrong there does not become right here.
 */
export interface OtlpAttribute {
  readonly key: string
  readonly value: {
    readonly stringValue?: string
    readonly boolValue?: boolean
    readonly intValue?: number | string
    readonly doubleValue?: number
  }
}

interface NumberPoint {
  readonly attributes?: readonly OtlpAttribute[]
  readonly asDouble?: number
  readonly asInt?: number | string
}

interface HistogramPoint {
  readonly attributes?: readonly OtlpAttribute[]
  readonly count: number | string
  readonly sum?: number
  readonly bucketCounts: readonly (number | string)[]
  readonly explicitBounds: readonly number[]
}

interface OtlpMetricData {
  readonly name: string
  readonly description?: string
  readonly unit?: string
  readonly gauge?: { readonly dataPoints: readonly NumberPoint[] }
  readonly sum?: {
    readonly dataPoints: readonly NumberPoint[]
    readonly isMonotonic?: boolean
    readonly aggregationTemporality: number
  }
  readonly histogram?: {
    readonly dataPoints: readonly HistogramPoint[]
    readonly aggregationTemporality: number
  }
}

/** The body of a request to `/v1/metrics`. */
export interface OtlpMetricsRequest {
  readonly resourceMetrics: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] }
    readonly scopeMetrics: readonly {
      readonly scope: { readonly name: string; readonly version?: string }
      readonly metrics: readonly OtlpMetricData[]
    }[]
  }[]
}

export type OtlpType = "gauge" | "counter" | "updown" | "histogram"

type Labels = Readonly<Record<string, string>>

const cumulative = 2

const unitWords: Readonly<Record<string, string>> = {
  d: "days",
  h: "hours",
  min: "minutes",
  s: "seconds",
  ms: "milliseconds",
  us: "microseconds",
  ns: "nanoseconds",
  By: "bytes",
  KiBy: "kibibytes",
  MiBy: "mebibytes",
  GiBy: "gibibytes",
  KBy: "kilobytes",
  MBy: "megabytes",
  m: "meters",
  V: "volts",
  A: "amperes",
  J: "joules",
  W: "watts",
  g: "grams",
  Cel: "celsius",
  Hz: "hertz",
  "%": "percent",
}

const perWords: Readonly<Record<string, string>> = {
  s: "second",
  m: "minute",
  min: "minute",
  h: "hour",
  d: "day",
  w: "week",
  mo: "month",
  y: "year",
}

/** The name of a metric: without what a name may not hold, with its unit in words, and `_total` where it only grows. */
export function translateName(name: string, unit: string, type: OtlpType): string {
  const parts = name.split(/[^a-zA-Z0-9:]+/).filter((part) => part !== "")
  const add = (word: string) => {
    if (word !== "" && !parts.includes(word)) parts.push(word)
  }
  const plain = unit.replace(/\{[^}]*\}/g, "").trim()
  const [of = "", per] = plain.split("/")
  if (of !== "" && of !== "1") add(unitWords[of] ?? of.replace(/[^a-zA-Z0-9]/g, "_"))
  if (per !== undefined && per !== "") add(`per_${perWords[per] ?? per}`)
  // Suffixes of their kind come last, also where the name has the word elsewhere.
  const last = type === "counter" ? "total" : type === "gauge" && plain === "1" ? "ratio" : undefined
  const rest = last === undefined ? parts : parts.filter((part) => part !== last)
  const joined = [...rest, ...(last === undefined ? [] : [last])].join("_")
  return /^[0-9]/.test(joined) ? `_${joined}` : joined
}

export function translateLabel(key: string): string {
  const label = key.replace(/[^a-zA-Z0-9_]+/g, "_")
  if (/^[0-9]/.test(label)) return `key_${label}`
  return /^_[^_]/.test(label) ? `key${label}` : label
}

/** A request as Prometheus's text format, each series with the labels of its resource and its scope. */
export function translate({ resourceMetrics }: OtlpMetricsRequest): string {
  const families = new Map<string, string[]>()
  for (const { resource, scopeMetrics } of resourceMetrics) {
    const { identity, rest } = translateResource(resource.attributes)
    write(families, "target_info", "gauge", "What the resource says of itself.").push(
      sample("target_info", { ...rest, ...identity }, 1),
    )
    for (const { scope, metrics } of scopeMetrics) {
      const ofScope = { otel_scope_name: scope.name, otel_scope_version: scope.version ?? "" }
      for (const metric of metrics) translateMetric(families, metric, { ...identity, ...ofScope })
    }
  }
  return [...families.values()].flat().join("")
}

function translateResource(attributes: readonly OtlpAttribute[]): { identity: Labels; rest: Labels } {
  const {
    "service.name": name = "",
    "service.namespace": namespace,
    "service.instance.id": instance = "",
    ...rest
  } = Object.fromEntries(attributes.map(({ key, value }) => [key, textOf(value)]))
  return {
    identity: { job: namespace === undefined ? name : `${namespace}/${name}`, instance },
    rest: Object.fromEntries(Object.entries(rest).map(([key, text]) => [translateLabel(key), text])),
  }
}

function translateMetric(families: Map<string, string[]>, metric: OtlpMetricData, common: Labels): void {
  const { name, unit = "", description = "", gauge, sum, histogram } = metric
  const temporality = sum?.aggregationTemporality ?? histogram?.aggregationTemporality ?? cumulative
  if (temporality !== cumulative)
    throw new Error(`${name} has the temporality ${temporality}: Prometheus adds nothing up`)
  if (histogram) {
    const family = translateName(name, unit, "histogram")
    const lines = write(families, family, "histogram", description)
    for (const point of histogram.dataPoints) {
      const labels = { ...common, ...labelsOf(point.attributes) }
      let below = 0
      for (const [index, count] of point.bucketCounts.entries()) {
        below += Number(count)
        const bound = point.explicitBounds[index]
        lines.push(sample(`${family}_bucket`, { ...labels, le: bucketLabel(bound) }, below))
      }
      lines.push(
        sample(`${family}_sum`, labels, point.sum ?? 0),
        sample(`${family}_count`, labels, Number(point.count)),
      )
    }
    return
  }
  const type = gauge ? "gauge" : sum?.isMonotonic ? "counter" : "updown"
  const family = translateName(name, unit, type)
  const lines = write(families, family, type === "counter" ? "counter" : "gauge", description)
  for (const { attributes, asDouble, asInt } of (gauge ?? sum)?.dataPoints ?? [])
    lines.push(sample(family, { ...common, ...labelsOf(attributes) }, Number(asDouble ?? asInt)))
}

/** As OpenMetrics writes numbers; Prometheus 3 makes this of any other form. */
function bucketLabel(bound = Infinity): string {
  if (bound === Infinity) return "+Inf"
  return Number.isInteger(bound) ? `${bound}.0` : String(bound)
}

/** Attributes that come to have one label's name share it, their values joined in the order of their keys. */
function labelsOf(attributes: readonly OtlpAttribute[] = []): Labels {
  const labels: Record<string, string> = {}
  for (const { key, value } of [...attributes].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    const label = translateLabel(key)
    labels[label] = label in labels ? `${labels[label]};${textOf(value)}` : textOf(value)
  }
  return labels
}

function textOf({ stringValue, boolValue, intValue, doubleValue }: OtlpAttribute["value"]): string {
  return String(stringValue ?? boolValue ?? intValue ?? doubleValue ?? "")
}

function write(families: Map<string, string[]>, name: string, type: string, help: string): string[] {
  let lines = families.get(name)
  if (lines === undefined) {
    lines = [`# HELP ${name} ${escaped(help, /[\\\n]/g)}\n`, `# TYPE ${name} ${type}\n`]
    families.set(name, lines)
  }
  return lines
}

function sample(name: string, labels: Labels, value: number): string {
  const text = Object.entries(labels).map(([label, of]) => `${label}="${escaped(of, /[\\\n"]/g)}"`)
  return `${name}{${text.join(",")}} ${value}\n`
}

function escaped(text: string, what: RegExp): string {
  return text.replace(what, (c) => (c === "\n" ? "\\n" : `\\${c}`))
}
