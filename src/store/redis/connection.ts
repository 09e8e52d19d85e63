import { systemClock, type Timer } from "../../model/clock.ts"
import { type Reply, StoreError } from "../store.ts"
import { describe } from "./failures.ts"
import { type Ending, Link, type Probe } from "./link.ts"
import type { Target } from "./target.ts"

export interface ConnectionOptions {
  /** Shows in `CLIENT LIST`. */
  readonly role: string
  readonly probe: Probe
  /** Every time that the server has begun to answer. */
  up?(): void
  /** A connection that was up has ended; called once until it is up again. */
  lost?(ending: Ending): void
  message?(channel: string, text: string): void
  /** The server has ended subscriptions, for their slot is no longer its own. */
  slotLeft?(): void
}

interface Waiter {
  readonly patient: boolean
  readonly resolve: () => void
  readonly reject: (ending: Ending) => void
}

const leastBackoffMs = 50
const mostBackoffMs = 2_000

/** One of the process's connections: opened at first use, then reconnecting for ever until it is stopped. */
export class Connection {
  readonly #target: Target
  readonly #options: ConnectionOptions
  readonly #waiters = new Set<Waiter>()
  #link: Link | undefined
  #retry: Timer
  #running = false
  #closed = false
  #wasUp = false
  #failures = 0
  /** Counts openings, so that a client that was still being made when the connection stopped is dropped. */
  #opening = 0
  #lastEnding: Ending = { message: "not connected" }

  constructor(target: Target, options: ConnectionOptions) {
    this.#target = target
    this.#options = options
  }

  get isUp(): boolean {
    return this.#link?.isUp === true
  }

  send(
    command: string,
    args: readonly (string | number)[],
    answerMs: number,
    what = command,
  ): Promise<Reply> {
    if (this.#link !== undefined) return this.#link.send(command, args, answerMs, what)
    return Promise.reject(new StoreError(`${what} was not sent: ${this.#lastEnding.message}`, "unsent"))
  }

  /** Resolves when commands can be sent; rejects with a `StoreError` (unsent) when the attempt under way fails. */
  async opened(): Promise<void> {
    if (this.isUp) return
    if (this.#retry !== undefined) throw notSent(this.#lastEnding)
    await this.#wait(false).catch((ending: Ending) => {
      throw notSent(ending)
    })
  }

  /** Keeps trying for at most `patienceMs`, or until the server refuses us; undefined when commands can be sent. */
  async openWithin(patienceMs: number): Promise<Ending | undefined> {
    if (this.isUp) return undefined
    const timer = systemClock.setTimeout(
      () => this.#giveUp(this.#trouble(patienceMs), true),
      patienceMs,
      true,
    )
    try {
      await this.#wait(true)
      return undefined
    } catch (ending) {
      return ending as Ending
    } finally {
      systemClock.clearTimeout(timer)
    }
  }

  #trouble(patienceMs: number): Ending {
    if (this.#link?.trouble !== undefined) return { message: this.#link.trouble }
    if (this.#failures > 0) return this.#lastEnding
    return { message: `no answer within ${patienceMs / 1000} s${this.#link?.silence ?? ""}` }
  }

  #wait(patient: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(this.#lastEnding)
      this.#waiters.add({ patient, resolve, reject })
      if (!this.#running) {
        this.#running = true
        void this.#open()
      }
    })
  }

  async #open(): Promise<void> {
    const opening = ++this.#opening
    try {
      const client = await this.#target.client(this.#options.role)
      if (opening !== this.#opening) return
      const link: Link = new Link(client, {
        probe: this.#options.probe,
        up: () => this.#up(),
        ended: (ending) => this.#ended(link, ending),
        message: (channel, text) => this.#options.message?.(channel, text),
        slotLeft: () => this.#options.slotLeft?.(),
      })
      this.#link = link
    } catch (error) {
      if (opening === this.#opening) this.#again({ message: describe(error), refused: true })
    }
  }

  #up(): void {
    for (const waiter of this.#waiters) waiter.resolve()
    this.#waiters.clear()
    this.#wasUp = true
    this.#options.up?.()
  }

  #ended(link: Link, ending: Ending): void {
    if (this.#link !== link) return
    this.#link = undefined
    // A demoted server answers the probe and refuses the work: without this, reconnecting to it would spin.
    if (link.served && ending.code === undefined) this.#failures = 0
    const lost = this.#wasUp
    this.#wasUp = false
    this.#again(ending)
    if (lost) this.#options.lost?.(ending)
  }

  #again(ending: Ending): void {
    this.#lastEnding = ending
    const delayMs = Math.min(mostBackoffMs, leastBackoffMs * 2 ** Math.min(this.#failures++, 10))
    // Holds the process: without a socket nothing else might, and an outage must not end a worker.
    this.#retry = systemClock.setTimeout(
      () => {
        this.#retry = undefined
        void this.#open()
      },
      delayMs * (0.5 + Math.random() / 2),
      true,
    )
    this.#giveUp(ending, ending.refused === true)
  }

  #giveUp(ending: Ending, patientToo: boolean): void {
    for (const waiter of this.#waiters) {
      if (waiter.patient && !patientToo) continue
      this.#waiters.delete(waiter)
      waiter.reject(ending)
    }
  }

  /** Ends the socket, and the reconnecting; what is under way rejects. It can be opened again. */
  async stop(message: string): Promise<void> {
    this.#opening++
    this.#running = false
    this.#wasUp = false
    systemClock.clearTimeout(this.#retry)
    this.#retry = undefined
    this.#failures = 0
    this.#lastEnding = { message }
    const link = this.#link
    this.#link = undefined
    link?.end({ message })
    this.#giveUp({ message }, true)
    await link?.closed()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.stop("the store has been closed")
  }
}

function notSent({ message }: Ending): StoreError {
  return new StoreError(`not connected: ${message}`, "unsent")
}
