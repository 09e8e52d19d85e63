import { NodeTracerProvider, type ReadableSpan, type SpanProcessor } from "@opentelemetry/sdk-trace-node"
import { startTelemetry, type Telemetry } from "../../exporters/opentelemetry/index.ts"

export interface Traces {
  readonly description: string
  /** A trace's spans, as far as this process made and kept them. */
  get(traceId: string): readonly ReadableSpan[]
  shutdown(): Promise<void>
}

/** Sends traces and metrics to an OTLP endpoint if there is one, else keeps the last traces. To be called before the app is made. */
export async function startTraces(endpoint: string | undefined, env: NodeJS.ProcessEnv): Promise<Traces> {
  return endpoint === undefined ? keptTraces() : sentTraces(endpoint, env)
}

async function sentTraces(endpoint: string, env: NodeJS.ProcessEnv): Promise<Traces> {
  const telemetry: Telemetry = await startTelemetry({
    serviceName: env.OTEL_SERVICE_NAME ?? "taskora-files",
    ...(endpoint === env.OTEL_EXPORTER_OTLP_ENDPOINT ? {} : { endpoint }),
  })
  return {
    description: `sent to ${endpoint} as service ${env.OTEL_SERVICE_NAME ?? "taskora-files"}`,
    get: () => [],
    shutdown: () => telemetry.shutdown(),
  }
}

function keptTraces(): Traces {
  const last = new LastTraces()
  const provider = new NodeTracerProvider({ spanProcessors: [last] })
  provider.register()
  return {
    description: "the last ones are kept in memory (--otlp URL sends them)",
    get: (traceId) => last.get(traceId),
    shutdown: () => provider.shutdown(),
  }
}

/** Keeps the spans of the traces that came last, and of those in which a job was retried. */
class LastTraces implements SpanProcessor {
  private readonly last = new Map<string, ReadableSpan[]>()
  private readonly retried = new Map<string, ReadableSpan[]>()

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    const { traceId } = span.spanContext()
    const known = this.retried.get(traceId) ?? this.last.get(traceId)
    const spans = known ?? []
    if (spans.length < 500) spans.push(span)
    if (!known) keep(this.last, traceId, spans, 1000)
    if (span.attributes["messaging.taskora.will_retry"]) keep(this.retried, traceId, spans, 100)
  }

  get(traceId: string): readonly ReadableSpan[] {
    return this.retried.get(traceId) ?? this.last.get(traceId) ?? []
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}

function keep(traces: Map<string, ReadableSpan[]>, traceId: string, spans: ReadableSpan[], most: number) {
  traces.set(traceId, spans)
  const oldest = traces.keys().next().value
  if (traces.size > most && oldest !== undefined) traces.delete(oldest)
}
