import type { Source, StoreCall, Transition } from "../../src/model/observer.ts"
import type { ProcessMeasures } from "./process.ts"
import type { Tasks } from "./tasks.ts"
import { transitionRules } from "./transitions.ts"

/** The writing side of an app's numbers. One observer feeds it. */
export class Recorder {
  readonly #process: ProcessMeasures
  readonly #clock: Source["clock"]
  readonly #rules

  constructor(tasks: Tasks, process: ProcessMeasures, clock: Source["clock"]) {
    this.#process = process
    this.#clock = clock
    this.#rules = transitionRules(tasks, process, clock)
  }

  transition(transition: Transition): void {
    // The rule under a kind takes that kind; the compiler cannot follow the pair through the lookup.
    const rule = this.#rules[transition.kind] as (transition: Transition) => void
    rule(transition)
  }

  /** Times a call; blocking waits are no measure of the store. */
  storeCall<T>(call: StoreCall, run: () => Promise<T>): Promise<T> {
    if (call.blocking) return run()
    const startedAt = this.#clock.monotonic()
    const record = () => this.called(call, (this.#clock.monotonic() - startedAt) / 1000)
    const answer = run()
    // Whether it failed is the caller's concern: a call that failed took its time too.
    answer.then(record, record)
    return answer
  }

  /** A call was answered that somebody else timed. */
  called({ script }: StoreCall, seconds: number): void {
    this.#process.storeCalls.get(script).record(seconds)
  }
}
