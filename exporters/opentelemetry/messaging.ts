import type { StoreCall, Transition } from "../../src/model/observer.ts"
import { messagingInstruments } from "../catalogue/messaging.ts"
import { other, type ValuesOf } from "../catalogue.ts"
import { type Counter, CounterFamily, type CounterReader } from "../measure/counter.ts"
import { Limited } from "../measure/families.ts"
import {
  type Histogram,
  HistogramFamily,
  type HistogramReader,
  type RecordListener,
} from "../measure/histogram.ts"
import { errorType, systemName } from "./conventions.ts"

type Labels = typeof messagingInstruments.sent.attributes
type Operation = "send" | "process" | "settle"

export interface MessagingSettings {
  readonly buckets: Readonly<Record<string, readonly number[]>>
  /** Tasks with a label of their own. */
  readonly taskLimit: number
}

/** Pairs of a task's operation and a class of errors with a label of their own. */
const errorPairLimit = 900

/** The reasons of a rejection that stand for a dispatch which went out, or would have. */
const sendFailures: ReadonlySet<string> = new Set(["connection", "store_full", "unconfirmed"])

/** The instruments of the messaging conventions, kept apart from the catalogue's: only this binding has them. */
export class MessagingMeasures {
  /** Hear of every record of the two histograms. */
  readonly listeners: RecordListener[] = []
  readonly #sent = new CounterFamily(messagingInstruments.sent)
  readonly #consumed = new CounterFamily(messagingInstruments.consumed)
  readonly #operation: HistogramFamily<Labels>
  readonly #process: HistogramFamily<Labels>
  readonly #tasks: Limited<TaskSeries>
  #errorPairs = 0

  constructor({ buckets, taskLimit }: MessagingSettings) {
    // No exemplars are kept here, so no time is ever asked for.
    const context = { now: () => 0, listeners: this.listeners }
    this.#operation = new HistogramFamily(messagingInstruments.operation, context)
    this.#process = new HistogramFamily(messagingInstruments.process, context)
    for (const family of [this.#operation, this.#process]) {
      const bounds = buckets[family.instrument.name]
      if (bounds) family.rebucket(bounds)
    }
    this.#tasks = new Limited(taskLimit, (task) => new TaskSeries(task))
  }

  get counters(): readonly CounterReader[] {
    return [this.#sent, this.#consumed]
  }

  get histograms(): readonly HistogramReader[] {
    return [this.#operation, this.#process]
  }

  transition(transition: Transition) {
    switch (transition.kind) {
      case "active": {
        const series = this.#tasks.get(transition.attempt.task)
        series.consumed ??= this.#consumed.child(...series.values("process"))
        return series.consumed.add()
      }
      case "completed":
      case "cancelled":
      case "released":
      case "lost": {
        const series = this.#tasks.get(transition.attempt.task)
        series.process ??= this.#process.child(...series.values("process"))
        return series.process.record(transition.durationMs / 1000)
      }
      case "failed": {
        const values = this.#failed("process", transition.attempt.task, transition.errorType)
        return this.#process.child(...values).record(transition.durationMs / 1000)
      }
      case "dispatched": {
        const series = this.#tasks.get(transition.dispatch.task)
        series.sent ??= this.#sent.child(...series.values("send"))
        return series.sent.add(transition.stored)
      }
      case "rejected": {
        const { dispatch, reason, count, error } = transition
        if (!sendFailures.has(reason)) return
        return this.#sent.child(...this.#failed("send", dispatch.task, error.name)).add(count)
      }
    }
  }

  /** A call to the store was answered. Counted are those that send or settle; others belong to no job. */
  called({ script, task }: StoreCall, seconds: number, failure: { readonly error: unknown } | undefined) {
    if (task === undefined) return
    // `launch` stores too: what it begins beside that is the store's affair.
    const operation = script === "settle" ? "settle" : "send"
    if (failure !== undefined) {
      const name = failure.error instanceof Error ? failure.error.name : ""
      return this.#operation.child(...this.#failed(operation, task, name)).record(seconds)
    }
    const series = this.#tasks.get(task)
    series[operation] ??= this.#operation.child(...series.values(operation))
    series[operation].record(seconds)
  }

  #failed(operation: Operation, task: string, className: string): ValuesOf<Labels> {
    const series = this.#tasks.get(task)
    const type = errorType(className)
    const pair = `${operation}\0${type}`
    if (!series.failures.has(pair)) {
      if (this.#errorPairs >= errorPairLimit) return series.values(operation, other)
      this.#errorPairs++
      series.failures.add(pair)
    }
    return series.values(operation, type)
  }
}

/** What one task's label has counted so far, resolved once. A series begins with its first record. */
class TaskSeries {
  sent: Counter | undefined
  consumed: Counter | undefined
  process: Histogram | undefined
  send: Histogram | undefined
  settle: Histogram | undefined
  readonly failures = new Set<string>()
  readonly #task: string

  constructor(task: string) {
    this.#task = task
  }

  values(operation: Operation, error = ""): ValuesOf<Labels> {
    return [systemName, operation, this.#task, error]
  }
}
