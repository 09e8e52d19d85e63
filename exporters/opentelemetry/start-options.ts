import { type Duration, durationMs, show } from "../../src/model/duration.ts"
import { TaskoraError } from "../../src/model/errors.ts"
import { checkOptionNames } from "../options.ts"
import type { Report } from "./reporting.ts"

/** Options of `startTelemetry()`. What is not given comes from the `OTEL_*` variables. */
export interface TelemetryOptions {
  /** How the service is called in every trace and metric. Default: `OTEL_SERVICE_NAME`. */
  readonly serviceName?: string
  /** Base URL of an OTLP/HTTP receiver; `/v1/traces`, `/v1/metrics` and `/v1/logs` are appended. Default: `OTEL_EXPORTER_OTLP_ENDPOINT`, or `http://localhost:4318`. */
  readonly endpoint?: string
  /** Sent with every export, such as an API key. Default: `OTEL_EXPORTER_OTLP_HEADERS`. */
  readonly headers?: Readonly<Record<string, string>>
  /** More resource attributes, such as `deployment.environment.name`. */
  readonly attributes?: Readonly<Record<string, string>>
  /** Between two exports of metrics. Default: `OTEL_METRIC_EXPORT_INTERVAL`, or 1 minute. */
  readonly metricInterval?: Duration
  /** The most that a flush, and so an app's close(), waits for the receiver. Default 5 s. */
  readonly flushTimeout?: Duration
  /** Receives a line when telemetry was lost, at most one a minute. Default: printed with `console.warn`. */
  readonly report?: Report
}

export interface ResolvedTelemetry {
  readonly serviceName: string | undefined
  /** URLs of the signals; undefined where the exporter's own variables rule. */
  readonly tracesUrl: string | undefined
  readonly metricsUrl: string | undefined
  readonly logsUrl: string | undefined
  readonly headers: Record<string, string> | undefined
  readonly attributes: Readonly<Record<string, string>>
  readonly metricIntervalMs: number
  readonly flushTimeoutMs: number
  readonly report: Report
}

const where = "startTelemetry()"
const names: readonly (keyof TelemetryOptions)[] = [
  "serviceName",
  "endpoint",
  "headers",
  "attributes",
  "metricInterval",
  "flushTimeout",
  "report",
]

/** @throws TaskoraError (`INVALID`) for an unknown name or an impossible value */
export function resolveTelemetry(options: TelemetryOptions, env: NodeJS.ProcessEnv): ResolvedTelemetry {
  checkOptionNames(options, names, where)
  const interval = options.metricInterval ?? numberFrom(env, "OTEL_METRIC_EXPORT_INTERVAL") ?? "1m"
  return {
    serviceName: options.serviceName,
    tracesUrl: signalUrl(options.endpoint, "traces"),
    metricsUrl: signalUrl(options.endpoint, "metrics"),
    logsUrl: signalUrl(options.endpoint, "logs"),
    headers: options.headers && { ...options.headers },
    attributes: options.attributes ?? {},
    metricIntervalMs: durationMs(interval, `${where}: metricInterval`, 1),
    flushTimeoutMs: durationMs(options.flushTimeout ?? "5s", `${where}: flushTimeout`, 1),
    report: options.report ?? ((message) => console.warn(`[taskora] telemetry: ${message}`)),
  }
}

/** A number that a variable gives, if it gives one. */
export function numberFrom(env: NodeJS.ProcessEnv, name: string): number | undefined {
  const text = env[name]?.trim()
  if (!text) return undefined
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}

function signalUrl(endpoint: string | undefined, signal: "traces" | "metrics" | "logs"): string | undefined {
  if (endpoint === undefined) return undefined
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new TaskoraError(
      `${where}: endpoint ${show(endpoint)} is not an http(s) URL; give a base such as "http://localhost:4318"`,
      "INVALID",
    )
  url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/${signal}`
  return url.href
}
