import type { TaskFacts } from "../../src/model/observer.ts"
import { other } from "../catalogue.ts"
import type { Families } from "./families.ts"
import { type PairBudget, TaskMeasures } from "./task.ts"

/** Gives tasks their labels: the first `limit` names keep theirs, all further ones share `_OTHER`. */
export class Tasks {
  limit = 300
  readonly #families: Families
  readonly #pairs: PairBudget = { used: 0 }
  readonly #byName = new Map<string, TaskMeasures>()
  readonly #foreign = new Set<string>()
  #other: TaskMeasures | undefined

  constructor(families: Families) {
    this.#families = families
  }

  get(name: string): TaskMeasures {
    return this.#byName.get(name) ?? this.#admit(name)
  }

  /** The label of a task that only the store spoke of: this process counts nothing for it, so it gets no counters. */
  foreignLabel(name: string): string {
    const known = this.#byName.get(name)?.label
    if (known !== undefined) return known
    if (this.#foreign.has(name)) return name
    if (name === other || this.#foreign.size >= this.limit - this.#byName.size) return other
    this.#foreign.add(name)
    return name
  }

  /** All counters of a declared task exist at 0 from here on: an increase from nothing to 1 would be invisible. */
  declare(facts: TaskFacts): void {
    const measures = this.get(facts.name)
    if (facts.objectives !== undefined && measures.label !== other) measures.pursue(facts.objectives)
  }

  #admit(name: string): TaskMeasures {
    // Refused names are not remembered, or they would cost the memory that the limit saves.
    if (name === other || this.#byName.size >= this.limit) {
      this.#other ??= new TaskMeasures(this.#families, other, this.#pairs)
      return this.#other
    }
    const measures = new TaskMeasures(this.#families, name, this.#pairs)
    this.#byName.set(name, measures)
    return measures
  }
}
