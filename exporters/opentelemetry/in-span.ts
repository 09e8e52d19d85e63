import {
  type Context,
  createContextKey,
  INVALID_SPAN_CONTEXT,
  ROOT_CONTEXT,
  type Span,
  trace,
} from "@opentelemetry/api"

/** The API's own key: `createContextKey` names keys by a global symbol. */
const spanKey = createContextKey("OpenTelemetry Context Key SPAN")

/** A context with a span. The API's own copies a map and makes its methods anew for each, which every job would pay for. */
class InSpan implements Context {
  readonly #outer: Context
  readonly #span: Span

  constructor(outer: Context, span: Span) {
    this.#outer = outer
    this.#span = span
  }

  getValue(key: symbol): unknown {
    return key === spanKey ? this.#span : this.#outer.getValue(key)
  }

  setValue(key: symbol, value: unknown): Context {
    return this.#asUsual().setValue(key, value)
  }

  deleteValue(key: symbol): Context {
    return this.#asUsual().deleteValue(key)
  }

  #asUsual(): Context {
    return trace.setSpan(this.#outer, this.#span)
  }
}

/** What `trace.setSpan()` does. */
export const setSpan: (outer: Context, span: Span) => Context = isFound()
  ? (outer, span) => new InSpan(outer, span)
  : trace.setSpan

/** A later API may name its key differently. */
function isFound(): boolean {
  const span = trace.wrapSpanContext(INVALID_SPAN_CONTEXT)
  return trace.getSpan(new InSpan(ROOT_CONTEXT, span)) === span
}
