import {
  type Context,
  createContextKey,
  INVALID_SPANID,
  INVALID_TRACEID,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  type TextMapSetter,
  TraceFlags,
  trace,
} from "@opentelemetry/api"
import type { JobHeaders } from "../../src/model/observer.ts"
import { setSpan } from "./in-span.ts"

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

/** Where a job comes from: what travelled with it, and the position of its dispatch where there is a usable one. */
export class Sent {
  /** Holds the position too, unless `isApart`. */
  readonly #carried: Context
  readonly #isApart: boolean
  readonly position: SpanContext | undefined
  /** The dispatch was not sampled, by W3C's word: so nothing of the job is. */
  readonly isUnsampled: boolean

  constructor(
    carried: Context,
    position: SpanContext | undefined,
    { isApart, isW3C }: { readonly isApart: boolean; readonly isW3C: boolean },
  ) {
    this.#carried = carried
    this.#isApart = isApart
    this.position = position
    this.isUnsampled = isW3C && position !== undefined && !isSampled(position)
  }

  /** The context of the dispatch. */
  get context(): Context {
    return this.#isApart ? this.at(this.position!) : this.#carried
  }

  /** The same without its position: a trace begins here. */
  get withoutTrace(): Context {
    return this.#isApart ? this.#carried : trace.deleteSpan(this.#carried)
  }

  /** The same at another position. */
  at(position: SpanContext): Context {
    return setSpan(this.#carried, trace.wrapSpanContext(position))
  }
}

const carried = { isApart: false, isW3C: true }
const carriedOtherwise = { isApart: false, isW3C: false }
const apart = { isApart: true, isW3C: true }
const fromNowhere = new Sent(ROOT_CONTEXT, undefined, carried)

/**
 * The context in which a job was dispatched, built from the root: what is active in the engine's loop belongs to
 * somebody else (often it is suppressed), and never reaches a handler.
 */
export function extract(headers: JobHeaders): Sent {
  const { traceparent } = headers
  let size = 0
  let others = 0
  for (const name in headers) {
    size += name.length + (headers[name]?.length ?? 0)
    if (name !== "traceparent") others++
  }
  if (size === 0 || size > headersLimit) return fromNowhere
  const isW3C = traceparent !== undefined && propagation.fields().includes("traceparent")
  if (isW3C && others === 0 && traceparent.startsWith("00-")) {
    // The usual headers: what W3C's propagator makes of them, without its detours.
    const position = parseTraceparent(traceparent)
    return position ? new Sent(ROOT_CONTEXT, position, apart) : fromNowhere
  }
  const context = propagation.extract(ROOT_CONTEXT, headers)
  return new Sent(context, positionOf(context), isW3C ? carried : carriedOtherwise)
}

/** The position that a context carries, if it is a usable one. */
export function positionOf(context: Context): SpanContext | undefined {
  const position = trace.getSpanContext(context)
  return position !== undefined && isSpanContextValid(position) ? position : undefined
}

export function isSampled(position: SpanContext): boolean {
  return (position.traceFlags & TraceFlags.SAMPLED) !== 0
}

const traceparentPattern = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/

/** A run's position as the engine stores it: always W3C's form, whatever propagator the user configured. */
export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  if (text === undefined || !traceparentPattern.test(text)) return undefined
  const traceId = text.slice(3, 35)
  const spanId = text.slice(36, 52)
  if (traceId === INVALID_TRACEID || spanId === INVALID_SPANID) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(text.slice(53), 16), isRemote: true }
}
