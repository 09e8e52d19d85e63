import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api"
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { InMemorySpanExporter, type Sampler, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node"

/** A registered SDK that keeps finished spans, and everything global about it taken back by `stop()`. */
export class SpanCollector {
  readonly exporter = new InMemorySpanExporter()
  readonly provider: NodeTracerProvider
  /** Ids in the order of their start: start times have whole ms and cannot tell. */
  readonly #started: string[] = []

  constructor(options: { sampler?: Sampler; register?: boolean } = {}) {
    this.provider = new NodeTracerProvider({
      ...(options.sampler && { sampler: options.sampler }),
      spanProcessors: [new SimpleSpanProcessor(this.exporter), this.#startOrder()],
    })
    if (options.register !== false) this.provider.register()
  }

  /** In the order of their start. */
  get finished(): ReadableSpan[] {
    const order = (span: ReadableSpan) => this.#started.indexOf(span.spanContext().spanId)
    return this.exporter.getFinishedSpans().sort((a, b) => order(a) - order(b))
  }

  #startOrder(): SpanProcessor {
    return {
      onStart: (span) => void this.#started.push(span.spanContext().spanId),
      onEnd() {},
      forceFlush: async () => {},
      shutdown: async () => {},
    }
  }

  named(name: string): ReadableSpan[] {
    return this.finished.filter((span) => span.name === name)
  }

  /** The one finished span of that name. */
  one(name: string): ReadableSpan {
    const found = this.named(name)
    if (found.length !== 1)
      throw new Error(`${found.length} spans are named ${name}: ${render(this.finished)}`)
    return found[0]!
  }

  /** The finished spans as text, each trace a tree. */
  render(): string {
    return render(this.finished)
  }

  async stop() {
    await this.provider.shutdown()
    resetTelemetry()
  }
}

export function resetTelemetry() {
  trace.disable()
  context.disable()
  propagation.disable()
}

/** What of a span's attributes a golden shows; the rest is the subject of tests of its own. */
const shown = ["attempt", "outcome", "will_retry", "action", "count", "state", "reason", "duplicates"]

/**
 * Spans as text: traces in order of their first span, children below parents, `~>` links. Spans are numbered `#n` in
 * order of their start, so that links can be read.
 */
function render(ordered: readonly ReadableSpan[]): string {
  const numbers = new Map(ordered.map((span, index) => [span.spanContext().spanId, `#${index + 1}`]))
  const lines: string[] = []
  const write = (span: ReadableSpan, depth: number) => {
    const { spanId } = span.spanContext()
    lines.push("  ".repeat(depth) + line(span, numbers))
    for (const child of ordered) if (child.parentSpanContext?.spanId === spanId) write(child, depth + 1)
  }
  const traces = [...new Set(ordered.map((span) => span.spanContext().traceId))]
  for (const [index, traceId] of traces.entries()) {
    lines.push(`trace ${index + 1}`)
    for (const span of ordered) {
      if (span.spanContext().traceId !== traceId) continue
      if (!numbers.has(span.parentSpanContext?.spanId ?? "")) write(span, 1)
    }
  }
  return lines.join("\n")
}

function line(span: ReadableSpan, numbers: ReadonlyMap<string, string>): string {
  const number = numbers.get(span.spanContext().spanId)
  const parts = [`${number} ${span.name} (${SpanKind[span.kind]})`]
  for (const name of shown) {
    const value = span.attributes[`messaging.taskora.${name}`]
    if (value !== undefined) parts.push(`${name}=${value}`)
  }
  if (span.status.code === SpanStatusCode.ERROR) parts.push(`ERROR ${span.attributes["error.type"]}`)
  if (span.events.length > 0) parts.push(`[${span.events.map((event) => event.name).join(", ")}]`)
  for (const link of span.links) parts.push(`~> ${numbers.get(link.context.spanId) ?? "elsewhere"}`)
  return parts.join(" ")
}
