import { type Attributes, type Histogram, type Meter, ROOT_CONTEXT } from "@opentelemetry/api"
import type { StoreCall, Transition } from "../../src/model/observer.ts"
import { messagingInstruments } from "../catalogue/messaging.ts"
import { other, type ValuesOf } from "../catalogue.ts"
import { type Counter, CounterFamily, type CounterReader } from "../measure/counter.ts"
import { Limited } from "../measure/families.ts"
import { errorType, systemName } from "./conventions.ts"
import { createHistogram } from "./histograms.ts"
import { attributesOf } from "./tally.ts"

const labels = messagingInstruments.sent.attributes

/** Label sets, those with error classes included; the SDK silently loses labels beyond its own limit. */
const seriesLimit = 1500

/** The reasons of a rejection that stand for a dispatch which went out, or would have. */
const sendFailures: ReadonlySet<string> = new Set(["connection", "store_full", "unconfirmed"])

type Operation = "send" | "process" | "settle"

/** One label set, resolved once. */
interface Series {
  readonly values: ValuesOf<typeof labels>
  readonly attributes: Attributes
  counter?: Counter
}

/** The instruments of the messaging conventions, kept apart from the catalogue's: only this binding has them. */
export class MessagingMeasures {
  readonly #sent = new CounterFamily(messagingInstruments.sent)
  readonly #consumed = new CounterFamily(messagingInstruments.consumed)
  readonly #series: Limited<Series>
  #operation: Histogram | undefined
  #process: Histogram | undefined

  constructor(constant: Attributes) {
    this.#series = new Limited(seriesLimit, (key) => {
      const [operation = other, task = other, error = ""] = key.split("\0")
      const values = [systemName, operation, task, error] as const
      return { values, attributes: attributesOf(labels, values, constant) }
    })
  }

  get counters(): readonly CounterReader[] {
    return [this.#sent, this.#consumed]
  }

  bind(meter: Meter | undefined) {
    this.#operation = meter && createHistogram(meter, messagingInstruments.operation)
    this.#process = meter && createHistogram(meter, messagingInstruments.process)
  }

  transition(transition: Transition) {
    switch (transition.kind) {
      case "dispatched":
        return this.#count(this.#sent, this.#of("send", transition.dispatch.task), transition.stored)
      case "rejected": {
        const { dispatch, reason, count, error } = transition
        if (!sendFailures.has(reason)) return
        return this.#count(this.#sent, this.#of("send", dispatch.task, errorType(error.name)), count)
      }
      case "active":
        return this.#count(this.#consumed, this.#of("process", transition.attempt.task), 1)
      case "failed":
        return this.#processed(transition, errorType(transition.errorType))
      case "completed":
      case "cancelled":
      case "released":
      case "lost":
        return this.#processed(transition)
    }
  }

  /** Times calls that send or settle; others belong to no job, or are idle waits. */
  storeCall<T>(call: StoreCall, run: () => Promise<T>): Promise<T> {
    const { task } = call
    const operation = this.#operation
    if (operation === undefined || task === undefined || call.blocking) return run()
    const name = call.script === "enqueue" ? "send" : "settle"
    const startedAt = performance.now()
    const record = (error?: string) => {
      const seconds = (performance.now() - startedAt) / 1000
      operation.record(seconds, this.#of(name, task, error).attributes, ROOT_CONTEXT)
    }
    const answer = run()
    answer.then(
      () => record(),
      // Handled here for its class only: the caller has the rejection itself.
      (error) => record(errorType(error instanceof Error ? error.name : "")),
    )
    return answer
  }

  #processed({ attempt, durationMs }: Extract<Transition, { durationMs: number }>, error?: string) {
    const process = this.#process
    if (process === undefined) return
    process.record(durationMs / 1000, this.#of("process", attempt.task, error).attributes, ROOT_CONTEXT)
  }

  #count(family: CounterFamily<typeof labels>, series: Series, amount: number) {
    series.counter ??= family.child(...series.values)
    series.counter.add(amount)
  }

  #of(operation: Operation, task: string, error = ""): Series {
    return this.#series.get(`${operation}\0${task}\0${error}`)
  }
}
