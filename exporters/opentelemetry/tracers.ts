import { type ProxyTracerProvider, type Tracer, type TracerProvider, trace } from "@opentelemetry/api"
import { schemaUrl, scopeName } from "./conventions.ts"

type MaybeProxy = TracerProvider & Partial<Pick<ProxyTracerProvider, "getDelegate" | "getDelegateTracer">>

/**
 * Hands out the tracer of the provider that is registered now. A tracer kept from before would stay with a provider
 * that is gone; asking each time costs a lookup and no allocation.
 */
export class TracerSource {
  readonly #fixed: TracerProvider | undefined
  #known: TracerProvider | undefined
  #tracer: Tracer | undefined
  /** Of Taskora, for the instrumentation scope; known once the app gave its source. */
  version: string | undefined

  constructor(fixed?: TracerProvider) {
    this.#fixed = fixed
  }

  /** Undefined while no SDK is registered: then spans are no work at all. */
  current(): Tracer | undefined {
    const provider: MaybeProxy = this.#fixed ?? trace.getTracerProvider()
    // The API's own provider is a proxy that stays the same whatever is registered behind it.
    const known = provider.getDelegate?.() ?? provider
    if (known !== this.#known) {
      this.#known = known
      const scope = [scopeName, this.version, { schemaUrl }] as const
      this.#tracer = provider.getDelegateTracer
        ? provider.getDelegateTracer(...scope)
        : provider.getTracer(...scope)
    }
    return this.#tracer
  }
}
