import { findLogs, type LogsApi } from "./logs.ts"
import { tryPackages } from "./packages.ts"
import { reportUndelivered } from "./reporting.ts"
import { type Life, type Setting, target } from "./setting.ts"
import { numberFrom } from "./start-options.ts"

/** The SDK's own (2,048 and 512) are few for handlers that write a line or two per job. */
const queueSize = 65_536
const batchSize = 4096

/** A provider for `ctx.log`, and where it is registered. */
export interface Logs {
  readonly provider: Life
  register(): void
  disable(): void
}

/** Undefined where the packages for logs are not installed: traces and metrics do without. */
export async function createLogs({ resolved, env, resource }: Setting): Promise<Logs | undefined> {
  const { loaded } = await tryPackages({
    "@opentelemetry/sdk-logs": () => import("@opentelemetry/sdk-logs"),
    "@opentelemetry/exporter-logs-otlp-http": () => import("@opentelemetry/exporter-logs-otlp-http"),
  })
  const api = await findLogs()
  if (loaded === undefined || api === undefined) return undefined
  const { BatchLogRecordProcessor, LoggerProvider } = loaded["@opentelemetry/sdk-logs"]
  const { OTLPLogExporter } = loaded["@opentelemetry/exporter-logs-otlp-http"]
  const exporter = new OTLPLogExporter(target(resolved.logsUrl, resolved))
  reportUndelivered(exporter, { what: "log lines", report: resolved.report })
  const maxQueueSize = numberFrom(env, "OTEL_BLRP_MAX_QUEUE_SIZE") ?? queueSize
  const wanted = numberFrom(env, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE") ?? batchSize
  const maxExportBatchSize = Math.min(wanted, maxQueueSize)
  const provider = new LoggerProvider({
    resource,
    processors: [new BatchLogRecordProcessor({ exporter, maxQueueSize, maxExportBatchSize })],
  })
  return registrable(api, provider)
}

function registrable(api: LogsApi, provider: Life & object): Logs {
  let registered = false
  return {
    provider,
    register() {
      // Somebody else's that is there stays: the answer is then that one.
      registered = api.setGlobalLoggerProvider(provider) === provider
    },
    disable() {
      if (registered) api.disable()
    },
  }
}
