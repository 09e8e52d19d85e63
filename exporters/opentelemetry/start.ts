import {
  context,
  createNoopMeter,
  metrics,
  type ProxyTracerProvider,
  propagation,
  type TracerProvider,
  trace,
} from "@opentelemetry/api"
import { TaskoraError } from "../../src/model/errors.ts"
import { beforeClosed } from "./closing.ts"
import { createSdk, type Sdk } from "./sdk.ts"
import { type ResolvedTelemetry, resolveTelemetry, type TelemetryOptions } from "./start-options.ts"

/** What `startTelemetry()` returns. */
export interface Telemetry {
  /** Sends what is waiting. Resolves after `flushTimeout` at the latest; what was lost is reported. */
  flush(): Promise<void>
  /** Flushes, and takes the SDK out again. */
  shutdown(): Promise<void>
}

/**
 * Sets up OpenTelemetry's SDK for programs that have none: traces and metrics over OTLP/HTTP, the `OTEL_*` variables
 * honoured, flushed whenever an app with `opentelemetry()` closes. Lines of `ctx.log` go there too where
 * `@opentelemetry/sdk-logs` and `@opentelemetry/exporter-logs-otlp-http` are installed. Metrics are fetched through
 * `metricProducer()`, unless `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` asks for differences.
 *
 * ```ts
 * await startTelemetry({ serviceName: "mailer", endpoint: "http://localhost:4318" })
 * ```
 * @throws TaskoraError (`INVALID`) for a wrong option, SDK packages that are missing, or an SDK that is there already
 */
export async function startTelemetry(options: TelemetryOptions = {}): Promise<Telemetry> {
  const resolved = resolveTelemetry(options, process.env)
  if (process.env.OTEL_SDK_DISABLED?.toLowerCase() === "true") return disabled
  if (isTaken()) throw taken()
  const sdk = await createSdk(resolved, process.env)
  const providers = [sdk.tracerProvider, sdk.meterProvider, ...(sdk.logs ? [sdk.logs.provider] : [])]
  // Somebody else may have come first meanwhile.
  if (isTaken() || !register(sdk)) {
    sdk.release()
    await bounded("shutdown", () => providers.map((provider) => provider.shutdown()), resolved)
    throw taken()
  }
  const flush = () => bounded("flush", () => providers.map((provider) => provider.forceFlush()), resolved)
  const stopFlushing = beforeClosed(flush)
  let ended: Promise<void> | undefined
  const shutdown = async () => {
    await bounded("shutdown", () => providers.map((provider) => provider.shutdown()), resolved)
    stopFlushing()
    sdk.release()
    sdk.logs?.disable()
    for (const api of [trace, metrics, context, propagation]) api.disable()
  }
  return {
    flush,
    shutdown() {
      ended ??= shutdown()
      return ended
    },
  }
}

const disabled: Telemetry = { async flush() {}, async shutdown() {} }

/** True where somebody else's SDK is registered. */
function isTaken(): boolean {
  return isTracing(trace.getTracerProvider()) || metrics.getMeter("taskora") !== createNoopMeter()
}

function taken(): TaskoraError {
  return new TaskoraError(
    "startTelemetry(): an OpenTelemetry SDK is registered already; leave startTelemetry() out, opentelemetry() uses that one",
    "INVALID",
  )
}

/** False where it could not be. */
function register({ tracerProvider, meterProvider, logs, propagator }: Sdk): boolean {
  if (!metrics.setGlobalMeterProvider(meterProvider)) return false
  tracerProvider.register(propagator === undefined ? {} : { propagator })
  logs?.register()
  return true
}

function isTracing(provider: TracerProvider & Partial<Pick<ProxyTracerProvider, "getDelegateTracer">>) {
  return provider.getDelegateTracer === undefined || provider.getDelegateTracer("taskora") !== undefined
}

/** Waits for the work, but not for ever: a receiver that hangs must not hold an app's close(). Never rejects. */
async function bounded(
  what: string,
  work: () => readonly Promise<void>[],
  { flushTimeoutMs, report }: ResolvedTelemetry,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, flushTimeoutMs, "late")
  })
  const results = await Promise.race([Promise.allSettled(work()), late])
  clearTimeout(timer)
  if (results === "late") return report(`the ${what} did not end within ${flushTimeoutMs} ms`)
  for (const result of results)
    if (result.status === "rejected") report(`the ${what} failed: ${textOf(result.reason)}`)
}

function textOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason)
}
