import {
  type Context,
  createContextKey,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  type TextMapSetter,
  TraceFlags,
  trace,
} from "@opentelemetry/api"
import type { JobHeaders, TracePoint } from "../../src/model/observer.ts"

/** What may travel with a job, UTF-16 units of names and values; more is left out on the way in and ignored on the way out. */
const headersLimit = 8192

/** The SDK's own key: `createContextKey` names keys by a global symbol, so the SDK's package is not needed for it. */
const suppressTracing = createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING")

/** Instrumentations of Redis clients make no spans in it. */
export const suppressed: Context = ROOT_CONTEXT.setValue(suppressTracing, true)

class Carrier {
  readonly headers: Record<string, string> = {}
  size = 0
}

const setter: TextMapSetter<Carrier> = {
  set(carrier, name, value) {
    const size = carrier.size + name.length + value.length
    if (size > headersLimit) return
    carrier.size = size
    carrier.headers[name] = value
  },
}

/** The context as headers of a job, by the configured propagator; undefined when there is nothing to carry. */
export function inject(from: Context): JobHeaders | undefined {
  const carrier = new Carrier()
  propagation.inject(from, carrier, setter)
  return carrier.size === 0 ? undefined : carrier.headers
}

/**
 * The context in which a job was dispatched, built from the root: what is active in the engine's loop belongs to
 * somebody else (often it is suppressed), and never reaches a handler.
 */
export function extract(headers: JobHeaders): Context {
  let size = 0
  for (const name in headers) size += name.length + (headers[name]?.length ?? 0)
  if (size === 0 || size > headersLimit) return ROOT_CONTEXT
  return propagation.extract(ROOT_CONTEXT, headers)
}

/** The position that a context carries, if it is a usable one. */
export function positionOf(context: Context): SpanContext | undefined {
  const position = trace.getSpanContext(context)
  return position !== undefined && isSpanContextValid(position) ? position : undefined
}

export function isSampled(position: SpanContext): boolean {
  return (position.traceFlags & TraceFlags.SAMPLED) !== 0
}

export function tracePoint(position: SpanContext): TracePoint {
  return { traceId: position.traceId, spanId: position.spanId, sampled: isSampled(position) }
}

const traceparentPattern = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})$/

/** A run's position as the engine stores it: always W3C's form, whatever propagator the user configured. */
export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  const parts = text === undefined ? undefined : traceparentPattern.exec(text)
  if (!parts) return undefined
  const position: SpanContext = {
    traceId: parts[1]!,
    spanId: parts[2]!,
    traceFlags: Number.parseInt(parts[3]!, 16),
    isRemote: true,
  }
  return isSpanContextValid(position) ? position : undefined
}
