import type { Access, Needs } from "../store.ts"
import type { Wanted } from "./fitness.ts"

/** What a store's user has been found to be permitted. */
export class Permitted {
  readonly #options: { readonly prefix: string; readonly access: Access; readonly cluster?: boolean }
  #use: Needs["use"] | undefined

  constructor(options: { readonly prefix: string; readonly access: Access; readonly cluster?: boolean }) {
    this.#options = options
  }

  /** Whether anything has been checked. */
  get isKnown(): boolean {
    return this.#use !== undefined
  }

  /** Whether something is needed that has not been checked; tasks that are new show it by themselves. */
  lacks({ use }: Needs = standard): boolean {
    return (
      this.#use === undefined || (use === "work" && this.#use === "call" && this.#options.access === "all")
    )
  }

  async check(needs: Needs = standard, ask: (wanted: Wanted) => Promise<void>): Promise<void> {
    if (!this.lacks(needs)) return
    const { prefix, access, cluster = false } = this.#options
    await ask({ prefix, cluster, tasks: needs.tasks, use: access === "read" ? "read" : needs.use })
    this.#use = needs.use
  }
}

const standard: Needs = { use: "call", tasks: [] }
