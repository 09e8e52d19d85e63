/**
 * Makes one blocking call return early, however the interrupt and the call cross. Between calls it is only remembered;
 * during one, something with a rising number is written to a key that the call waits on too, and since the call asks for
 * numbers above the last that it knew, it does not matter which of the two the server sees first.
 */
export class Interrupt {
  #raised = 0
  #seen = 0
  #waiting = false
  readonly #poke: (number: number) => void

  constructor(poke: (number: number) => void) {
    this.#poke = poke
  }

  /** All interrupts up to this number have been served. */
  get seen(): number {
    return this.#seen
  }

  raise(): void {
    const pending = this.#raised > this.#seen
    this.#raised++
    if (this.#waiting && !pending) this.#poke(this.#raised)
  }

  /** Waits, unless interrupted before; undefined then. */
  async during<T>(wait: () => Promise<T>): Promise<T | undefined> {
    try {
      if (this.#raised > this.#seen) return undefined
      this.#waiting = true
      return await wait()
    } finally {
      this.#waiting = false
      this.#seen = this.#raised
    }
  }
}
