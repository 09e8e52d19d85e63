import { checkNames, invalid } from "../../src/model/options.ts"
import { checkBuckets } from "../buckets.ts"
import { histograms, instruments, prometheusLabel } from "../catalogue.ts"

export interface PrometheusOptions {
  /** Port of the endpoint; `false` opens none. Default 9464. 0 takes a free one, which `.port` then tells. */
  readonly port?: number | false
  /** Address to listen on. Default `127.0.0.1`: anything else makes the numbers public and is the caller's choice. */
  readonly host?: string
  /** Path of the metrics. Default `/metrics`. */
  readonly path?: string
  /** Labels added to every series. */
  readonly labels?: Readonly<Record<string, string>>
  /** Bounds of buckets by the OpenTelemetry name of a histogram, in its unit, rising. */
  readonly buckets?: Readonly<Record<string, readonly number[]>>
  /** Adds prom-client's default metrics of the process; prom-client must be installed. Default false. */
  readonly defaultMetrics?: boolean
  /** Clients must present this token to read the metrics (not for `/healthz` and `/readyz`). */
  readonly bearerToken?: string
  /** Exemplars of sampled traces in the OpenMetrics format. Default true. */
  readonly exemplar?: boolean
  /** Facts about the whole cluster; false where an exporter of its own tells them. Default true. */
  readonly queueGauges?: boolean
  /** Tasks that get a label of their own; further ones share `_OTHER`. Default 300. */
  readonly taskLimit?: number
}

export interface ResolvedOptions extends Required<Omit<PrometheusOptions, "bearerToken" | "taskLimit">> {
  readonly bearerToken: string | undefined
  readonly taskLimit: number | undefined
}

const defaults: ResolvedOptions = Object.freeze({
  port: 9464,
  host: "127.0.0.1",
  path: "/metrics",
  labels: {},
  buckets: {},
  defaultMetrics: false,
  bearerToken: undefined,
  exemplar: true,
  queueGauges: true,
  taskLimit: undefined,
})

const histogramNames = Object.values(histograms).map((histogram) => histogram.name)

/** Throws a TaskoraError (`INVALID`) that names the option, its value, and what would do. */
export function resolveOptions(options: PrometheusOptions): ResolvedOptions {
  checkNames(options, Object.keys(defaults), "the options of prometheus()")
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const resolved: ResolvedOptions = { ...defaults, ...Object.fromEntries(given) }
  const { port, host, path, bearerToken, taskLimit } = resolved
  check(port === false || isWhole(port, 0, 65_535), "port", port, "a port from 0 to 65535, or false")
  check(typeof host === "string" && host !== "", "host", host, "an address such as 127.0.0.1")
  check(
    typeof path === "string" && /^\/[^\s?#%]*$/.test(path) && path !== "/healthz" && path !== "/readyz",
    "path",
    path,
    'a path such as "/metrics", other than /healthz and /readyz',
  )
  for (const name of ["defaultMetrics", "exemplar", "queueGauges"] as const) {
    check(typeof resolved[name] === "boolean", name, resolved[name], "true or false")
  }
  // The token itself is never part of a message.
  check(
    bearerToken === undefined || (typeof bearerToken === "string" && /^[\x21-\x7e]+$/.test(bearerToken)),
    "bearerToken",
    "(hidden)",
    "visible ASCII characters without spaces",
  )
  check(taskLimit === undefined || isWhole(taskLimit, 1, 10_000), "taskLimit", taskLimit, "1 to 10000")
  checkLabels(resolved.labels)
  checkBuckets(resolved.buckets, histogramNames, "prometheus()")
  return Object.freeze(resolved)
}

const taken = new Set([
  ...instruments.flatMap((i) => i.attributes.map((a) => prometheusLabel(a.name))),
  "le",
  "quantile",
  "prefix",
])

function checkLabels(labels: Readonly<Record<string, string>>): void {
  check(isRecord(labels), "labels", labels, "an object of strings")
  for (const [name, value] of Object.entries(labels)) {
    const fits = /^[a-zA-Z_]\w*$/.test(name) && !name.startsWith("__")
    check(fits, `labels.${name}`, value, "a name of letters, digits and underscores, not beginning with two")
    check(!taken.has(name), `labels.${name}`, value, "a name that no metric of taskora uses itself")
    check(typeof value === "string", `labels.${name}`, value, "a string")
  }
}

function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function isWhole(value: unknown, from: number, to: number): boolean {
  return Number.isInteger(value) && (value as number) >= from && (value as number) <= to
}

function check(fits: boolean, option: string, value: unknown, wanted: string): void {
  if (fits) return
  throw invalid(`prometheus(): option "${option}" is ${shown(value)}; it must be ${wanted}.`)
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}
