import { systemClock, type Timer } from "../../model/clock.ts"
import { Connection, type ConnectionOptions } from "./connection.ts"
import type { Target } from "./target.ts"

const answerMs = 5_000
/** Nothing is ever asked on this connection, so a half-open socket would stay unnoticed. */
const heartbeatMs = 10_000

/** The process's subscriber connection; subscribes again after every reconnect. */
export class Subscriptions {
  readonly #channels = new Set<string>()
  readonly #connection: Connection
  #heartbeat: Timer

  constructor(target: Target, options: Pick<ConnectionOptions, "role" | "probe" | "message">) {
    this.#connection = new Connection(target, { ...options, up: () => this.#resume() })
  }

  /** Rejects with a `StoreError`; what could not be subscribed to now will be when the connection is back. */
  async add(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#channels.add(channel)
    if (channels.length === 0) return
    await this.#connection.opened()
    await this.#connection.send("subscribe", channels, answerMs)
  }

  #resume(): void {
    this.#beat()
    if (this.#channels.size === 0) return
    this.#connection.send("subscribe", [...this.#channels], answerMs).catch(() => {
      // A lost connection brings us here again. A refusal rejects add() too, or has been found at the start.
    })
  }

  #beat(): void {
    systemClock.clearTimeout(this.#heartbeat)
    this.#heartbeat = systemClock.setTimeout(() => {
      this.#connection.send("ping", [], answerMs).catch(() => {
        // Any answer will do; without one the socket is destroyed, which brings us back through up().
      })
      this.#beat()
    }, heartbeatMs)
  }

  close(): Promise<void> {
    systemClock.clearTimeout(this.#heartbeat)
    return this.#connection.close()
  }
}
