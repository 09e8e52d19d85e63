import { type Attributes, createNoopMeter, type MeterProvider, metrics } from "@opentelemetry/api"
import type { Observer, Source, StoreCall, Transition } from "../../src/model/observer.ts"
import { type Measure, measure } from "../measure/measure.ts"
import type { Recorder } from "../measure/recorder.ts"
import { type Collected, collectorOf } from "./collector.ts"
import { schemaUrl, scopeName } from "./conventions.ts"
import { recordHistograms } from "./histograms.ts"
import { MessagingMeasures } from "./messaging.ts"
import type { ResolvedOptions } from "./options.ts"

/** Every no-op meter is this one. */
const noop = createNoopMeter()

/** What is undone when another meter provider takes over, and what when the app closes. */
interface Binding {
  release(): void
  settle(): void
}

/** An app's numbers, shown through the meter of the provider that is registered now. */
export class Metrics {
  readonly #options: ResolvedOptions
  readonly #measure: Measure
  readonly #messaging: MessagingMeasures
  readonly #constant: Attributes
  /** Absent where another observer of the same app feeds the numbers that both show. */
  readonly #recorder: Recorder | undefined
  #provider: MeterProvider | undefined
  #binding: Binding | undefined

  constructor(options: ResolvedOptions, source: Source, observer: Observer) {
    this.#options = options
    this.#constant = source.prefix === "" ? {} : { prefix: source.prefix }
    this.#measure = measure(source)
    this.#messaging = new MessagingMeasures(this.#constant)
    this.#recorder = this.#measure.join(observer)
  }

  /** A meter taken before the SDK was registered would stay a no-op for ever, so the provider is looked up often. */
  refresh() {
    const provider = this.#options.meterProvider ?? metrics.getMeterProvider()
    if (provider === this.#provider) return
    this.#provider = provider
    this.#binding?.release()
    this.#binding = this.#bind(provider)
  }

  #bind(provider: MeterProvider): Binding | undefined {
    const meter = provider.getMeter(scopeName, this.#measure.source.version, { schemaUrl })
    if (meter === noop) {
      this.#messaging.bind(undefined)
      return undefined
    }
    const app: Collected = {
      measure: this.#measure,
      counters: this.#messaging.counters,
      constant: this.#constant,
      queueGauges: this.#options.queueGauges,
    }
    const collector = collectorOf(meter)
    collector.join(app)
    this.#messaging.bind(meter)
    const stopRecording = recordHistograms(this.#measure, meter, this.#constant)
    this.#measure.runtime.start()
    return {
      release: () => {
        collector.leave(app)
        stopRecording()
        this.#measure.runtime.stop()
      },
      settle: () => {
        collector.settle(app)
        stopRecording()
        this.#measure.runtime.stop()
      },
    }
  }

  transition(transition: Transition) {
    this.#recorder?.transition(transition)
    this.#messaging.transition(transition)
  }

  storeCall<T>(call: StoreCall, run: () => Promise<T>): Promise<T> {
    const recorder = this.#recorder
    if (recorder === undefined) return this.#messaging.storeCall(call, run)
    return this.#messaging.storeCall(call, () => recorder.storeCall(call, run))
  }

  close() {
    this.#binding?.settle()
    this.#binding = undefined
  }
}
