import { TraceFlags } from "@opentelemetry/api"
import type { ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace-base"

/** Receives one line about telemetry that was lost. */
export type Report = (message: string) => void

/** Between two lines about the same trouble: a backend that is down must not fill the log. */
const quietMs = 60_000

/**
 * A batching processor that says how many spans it lost. The SDK's own says it only to a diagnostic logger that
 * hardly anybody sets, and not while the queue stays full.
 */
export class ReportingProcessor implements SpanProcessor {
  readonly #batches: SpanProcessor
  readonly #queueSize: number
  readonly #exporter: CountingExporter
  readonly #report: Report
  #accepted = 0
  #dropped = 0
  #reportedAt = Number.NEGATIVE_INFINITY

  /** `makeBatches` gets the exporter to hand its batches to. */
  constructor(exporter: SpanExporter, queue: Queue) {
    this.#report = queue.report
    this.#queueSize = queue.size
    this.#exporter = new CountingExporter(exporter, (count, reason) => this.#lose(count, reason))
    this.#batches = queue.makeBatches(this.#exporter)
  }

  onStart(...args: Parameters<SpanProcessor["onStart"]>) {
    this.#batches.onStart(...args)
  }

  onEnd(span: ReadableSpan) {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return
    if (this.#accepted - this.#exporter.taken >= this.#queueSize)
      return this.#lose(1, `the queue of ${this.#queueSize} is full`)
    this.#accepted++
    this.#batches.onEnd(span)
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush()
  }

  async shutdown(): Promise<void> {
    await this.#batches.shutdown()
    if (this.#dropped > 0) this.#tell("at shutdown")
  }

  #lose(count: number, reason: string) {
    this.#dropped += count
    if (performance.now() - this.#reportedAt >= quietMs) this.#tell(reason)
  }

  #tell(reason: string) {
    this.#report(`${this.#dropped} spans were lost: ${reason}`)
    this.#reportedAt = performance.now()
    this.#dropped = 0
  }
}

/** How a processor queues. */
export interface Queue {
  readonly size: number
  readonly report: Report
  makeBatches(exporter: SpanExporter): SpanProcessor
}

/** Knows how many spans have left the queue, and which of them did not arrive. */
class CountingExporter implements SpanExporter {
  readonly #exporter: SpanExporter
  readonly #lost: (count: number, reason: string) => void
  taken = 0

  constructor(exporter: SpanExporter, lost: (count: number, reason: string) => void) {
    this.#exporter = exporter
    this.#lost = lost
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter["export"]>[1]) {
    this.taken += spans.length
    this.#exporter.export(spans, (result) => {
      if (result.code !== 0) this.#lost(spans.length, result.error?.message ?? "the export failed")
      done(result)
    })
  }

  async forceFlush() {
    await this.#exporter.forceFlush?.()
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown()
  }
}

/** What is exported by `Exporter.export()`, and what its answer is. */
interface Exporter<Batch> {
  export(batch: Batch, done: (result: { readonly code: number; readonly error?: Error }) => void): void
}

/** Says when something did not arrive. Of metrics nothing is lost by that: the next export carries the totals. */
export function reportUndelivered<Batch>(
  exporter: Exporter<Batch>,
  { what, report }: { readonly what: string; readonly report: Report },
) {
  const send = exporter.export.bind(exporter)
  let reportedAt = Number.NEGATIVE_INFINITY
  exporter.export = (batch, done) =>
    send(batch, (result) => {
      if (result.code !== 0 && performance.now() - reportedAt >= quietMs) {
        reportedAt = performance.now()
        report(`${what} did not arrive: ${result.error?.message ?? "the export failed"}`)
      }
      done(result)
    })
}
