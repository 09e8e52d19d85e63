import { type Context, context, INVALID_TRACEID, type Span, SpanKind } from "@opentelemetry/api"
import type { Attempt, TracePoint, Transition } from "../../src/model/observer.ts"
import { extract, isSampled } from "./context.ts"
import type { SpanAttributes } from "./conventions.ts"
import { recordFailure } from "./failure.ts"
import { setSpan } from "./in-span.ts"
import { relate } from "./relation.ts"
import type { Tracing } from "./tracing.ts"

type Kind<K extends Transition["kind"]> = Extract<Transition, { kind: K }>
type End = Kind<"completed" | "failed" | "cancelled" | "released" | "lost">

const mostProgressEvents = 100
const longestReason = 1024

/** Where a run is. It is its attempt's own `trace`, so that nothing need be looked up as the attempt goes on. */
class Run implements TracePoint {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
  readonly #of: RunSpans
  readonly #context: Context

  constructor(of: RunSpans, inside: Context, position: ReturnType<Span["spanContext"]>) {
    this.traceId = position.traceId
    this.spanId = position.spanId
    this.sampled = isSampled(position)
    this.#of = of
    this.#context = inside
  }

  /** The context for what is the user's. */
  static contextOf(attempt: Attempt, of: RunSpans): Context | undefined {
    const { trace: run } = attempt
    return run !== undefined && #of in run && run.#of === of ? run.#context : undefined
  }
}

/** A run whose span is open. */
interface Open {
  readonly span: Span
  readonly inside: Context
  /** `performance.now()`, which the SDK places on its own time line: no second wall clock gets into the span. */
  readonly startedAt: number
  progressEvents: number
}

/** The `process` spans: one per run, open from its attempt to the answer of its settlement. */
export class RunSpans {
  readonly #tracing: Tracing
  // Not weak: each attempt ends in exactly one transition, and close() must find what is still open.
  readonly #open = new Map<Attempt, Open>()

  constructor(tracing: Tracing) {
    this.#tracing = tracing
  }

  run<T>(attempt: Attempt, fn: () => T): T {
    return context.with(this.begin(attempt), fn)
  }

  /** Starts the run's span, if it has none yet, and returns the context for what is the user's. */
  begin(attempt: Attempt): Context {
    // Another observer that traces may have put its own run in the place of ours.
    const begun = Run.contextOf(attempt, this) ?? this.#open.get(attempt)?.inside
    if (begun) return begun
    const sent = extract(attempt.headers)
    const tracer = this.#tracing.tracer()
    if (!tracer) return sent.context

    if (sent.isUnsampled && sent.position) {
      // As a span would be that is not recorded, of this process: its children ask a sampler for local parents.
      const { traceId, spanId, traceFlags, traceState } = sent.position
      const position = { traceId, spanId, traceFlags, ...(traceState && { traceState }) }
      const inside = sent.at(position)
      attempt.trace = new Run(this, inside, position)
      return inside
    }
    const { parent, links } = relate(attempt, sent, this.#tracing.options)
    const span = tracer.startSpan(
      `process ${attempt.task}`,
      { kind: SpanKind.CONSUMER, links, attributes: this.#tracing.aboutRun(attempt) },
      parent,
    )
    const inside = setSpan(parent, span)
    const position = span.spanContext()
    if (position.traceId === INVALID_TRACEID) return inside
    attempt.trace = new Run(this, inside, position)
    // The time not before: an end that precedes the span's own start would be refused.
    if (span.isRecording())
      this.#open.set(attempt, { span, inside, startedAt: performance.now(), progressEvents: 0 })
    return inside
  }

  progress({ attempt, progress }: Kind<"progress">) {
    const run = this.#open.get(attempt)
    if (!run || run.progressEvents === mostProgressEvents) return
    run.progressEvents++
    const value = typeof progress === "number" ? progress : this.#tracing.options.capture.data?.(progress)
    const attributes: SpanAttributes = { "messaging.taskora.progress": value }
    run.span.addEvent("progress", attributes)
  }

  end(end: End) {
    if (this.#open.size === 0) return
    const run = this.#open.get(end.attempt)
    if (!run) return
    this.#open.delete(end.attempt)
    const { span } = run
    // A virtual clock may have let hours pass: a time to come would be read as one since the epoch.
    const endedAt = Math.min(run.startedAt + end.durationMs, performance.now())
    if (end.kind === "failed") this.#fail(span, end, endedAt)
    else span.setAttribute("messaging.taskora.outcome", end.kind)
    if (end.kind === "cancelled") {
      const reason: SpanAttributes = { "messaging.taskora.reason": end.reason?.slice(0, longestReason) }
      span.addEvent("cancelled", reason, endedAt)
    }
    span.end(endedAt)
  }

  #fail(span: Span, { attempt, error, errorType, willRetry, delayMs }: Kind<"failed">, endedAt: number) {
    const outcome: SpanAttributes = {
      "messaging.taskora.outcome": willRetry ? "retried" : "failed",
      "messaging.taskora.will_retry": willRetry,
    }
    span.setAttributes(outcome)
    recordFailure(span, errorType, error, this.#tracing.options.capture.errors, endedAt)
    if (!willRetry) return
    const next: SpanAttributes = {
      "messaging.taskora.next_attempt": attempt.attempt + 1,
      "messaging.taskora.delay_ms": delayMs,
    }
    span.addEvent("retry scheduled", next, endedAt)
  }

  /** Ends what is left when the app closes: a span that never ends is never exported. */
  close() {
    for (const { span } of this.#open.values()) span.end()
    this.#open.clear()
  }
}
