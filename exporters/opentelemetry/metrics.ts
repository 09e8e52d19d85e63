import { createNoopMeter, type MeterProvider, metrics } from "@opentelemetry/api"
import type { Observer, Source, StoreCall, Transition } from "../../src/model/observer.ts"
import type { RecordListener } from "../measure/histogram.ts"
import { type Measure, measure } from "../measure/measure.ts"
import type { Recorder } from "../measure/recorder.ts"
import type { Apps, Collected } from "./apps.ts"
import { collectorOf } from "./collector.ts"
import { schemaUrl, scopeName } from "./conventions.ts"
import { recordInto } from "./histograms.ts"
import { MessagingMeasures } from "./messaging.ts"
import type { ResolvedOptions } from "./options.ts"
import { type Producer, producerInUse } from "./producer.ts"

/** Every no-op meter is this one. */
const noop = createNoopMeter()

/** Tasks with a label of their own, as in the numbers that all bindings share. */
const usualTaskLimit = 300

/** What is undone when the numbers are shown elsewhere, and what when the app closes. */
interface Binding {
  release(): void
  settle(): void
}

/** An app's numbers, shown through the producer where one is in use, else through the meter that is registered now. */
export class Metrics {
  readonly #options: ResolvedOptions
  readonly #measure: Measure
  readonly #messaging: MessagingMeasures
  readonly #app: Collected
  /** Absent where another observer of the same app feeds the numbers that both show. */
  readonly #recorder: Recorder | undefined
  #shownBy: MeterProvider | Producer | undefined
  #binding: Binding | undefined

  constructor(options: ResolvedOptions, source: Source, observer: Observer) {
    const { buckets, taskLimit, queueGauges } = options
    this.#options = options
    this.#measure = measure(source)
    this.#measure.configure({ buckets, ...(taskLimit === undefined ? {} : { taskLimit }) })
    this.#messaging = new MessagingMeasures({ buckets, taskLimit: taskLimit ?? usualTaskLimit })
    this.#recorder = this.#measure.join(observer)
    this.#app = {
      measure: this.#measure,
      counters: this.#messaging.counters,
      histograms: this.#messaging.histograms,
      constant: source.prefix === "" ? {} : { prefix: source.prefix },
      queueGauges,
    }
  }

  /** A meter taken before the SDK was registered would stay a no-op for ever, so this is looked up often. */
  refresh() {
    const shownBy = this.#choose()
    if (shownBy === this.#shownBy) return
    this.#binding?.release()
    this.#shownBy = shownBy
    this.#binding = "getMeter" in shownBy ? this.#bindMeter(shownBy) : this.#bind(shownBy.apps)
  }

  #choose(): MeterProvider | Producer {
    const { meterProvider } = this.#options
    if (meterProvider !== undefined) return meterProvider
    const producer = producerInUse()
    if (producer !== undefined && producer === this.#shownBy) return producer
    const registered = metrics.getMeterProvider()
    // What a meter has recorded it shows for ever: a producer beside it would show the same once more.
    const isRecorded = this.#binding !== undefined && this.#shownBy === registered
    return isRecorded ? registered : (producer ?? registered)
  }

  #bindMeter(provider: MeterProvider): Binding | undefined {
    const meter = provider.getMeter(scopeName, this.#measure.source.version, { schemaUrl })
    return meter === noop
      ? undefined
      : this.#bind(collectorOf(meter).apps, recordInto(meter, this.#app.constant))
  }

  /** `record`: hears of each record of a histogram, where these are not read like all else. */
  #bind(apps: Apps, record?: RecordListener): Binding {
    const { runtime } = this.#measure
    const stopRecording = record && this.#listen(record)
    apps.join(this.#app)
    runtime.start()
    const end = () => {
      stopRecording?.()
      runtime.stop()
    }
    return {
      release: () => {
        apps.leave(this.#app)
        end()
      },
      settle: () => {
        apps.settle(this.#app)
        end()
      },
    }
  }

  #listen(record: RecordListener): () => void {
    const stop = this.#measure.onRecord(record)
    const { listeners } = this.#messaging
    listeners.push(record)
    return () => {
      stop()
      listeners.splice(listeners.indexOf(record), 1)
    }
  }

  transition(transition: Transition) {
    this.#recorder?.transition(transition)
    this.#messaging.transition(transition)
  }

  /** Times a call; blocking waits are no measure of the store. */
  storeCall<T>(call: StoreCall, run: () => Promise<T>): Promise<T> {
    const { clock } = this.#measure.source
    const startedAt = clock.monotonic()
    const record = (failure?: { readonly error: unknown }) => {
      const seconds = (clock.monotonic() - startedAt) / 1000
      this.#recorder?.called(call, seconds)
      this.#messaging.called(call, seconds, failure)
    }
    const answer = run()
    answer.then(
      () => record(),
      // Handled here for its class only: the caller has the rejection itself.
      (error: unknown) => record({ error }),
    )
    return answer
  }

  close() {
    this.#binding?.settle()
    this.#binding = undefined
  }
}
