import {
  context,
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
 * honoured, flushed whenever an app with `opentelemetry()` closes.
 *
 * ```ts
 * await startTelemetry({ serviceName: "mailer", endpoint: "http://localhost:4318" })
 * ```
 * @throws TaskoraError (`INVALID`) for a wrong option, SDK packages that are missing, or an SDK that is there already
 */
export async function startTelemetry(options: TelemetryOptions = {}): Promise<Telemetry> {
  const resolved = resolveTelemetry(options, process.env)
  if (process.env.OTEL_SDK_DISABLED?.toLowerCase() === "true") return disabled
  const sdk = await createSdk(resolved, process.env)
  if (!register(sdk)) {
    await Promise.all([sdk.tracerProvider.shutdown(), sdk.meterProvider.shutdown()])
    throw new TaskoraError(
      "startTelemetry(): an OpenTelemetry SDK is registered already; leave startTelemetry() out, opentelemetry() uses that one",
      "INVALID",
    )
  }
  const both = [sdk.tracerProvider, sdk.meterProvider]
  const flush = () => bounded("flush", () => both.map((provider) => provider.forceFlush()), resolved)
  const stopFlushing = beforeClosed(flush)
  let ended: Promise<void> | undefined
  const shutdown = async () => {
    await bounded("shutdown", () => both.map((provider) => provider.shutdown()), resolved)
    stopFlushing()
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

/** False where somebody else's SDK is registered. */
function register({ tracerProvider, meterProvider, propagator }: Sdk): boolean {
  if (isTracing(trace.getTracerProvider()) || !metrics.setGlobalMeterProvider(meterProvider)) return false
  tracerProvider.register(propagator === undefined ? {} : { propagator })
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
