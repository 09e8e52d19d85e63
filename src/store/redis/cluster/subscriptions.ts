import { systemClock, type Timer } from "../../../model/clock.ts"
import { slotOf } from "../../slots.ts"
import { StoreError } from "../../store.ts"
import { answerMs } from "../script-calls.ts"
import type { ClusterNode } from "./node.ts"
import { redirectOf } from "./redirect.ts"
import type { Topology } from "./topology.ts"

const redirectsMost = 5
const againMs = 200

interface Channel {
  readonly name: string
  readonly hear: (text: string) => void
  /** Told each time that the subscription has begun: what happened before may have been missed. */
  readonly begun: () => void
  /** Where it is subscribed to. */
  at: ClusterNode | undefined
  /** A SSUBSCRIBE is under way. */
  call: Promise<void> | undefined
}

/** The process's sharded channels, each subscribed to at the node that serves its slot, wherever that is by now. */
export class ShardedSubscriptions {
  readonly #topology: Topology
  readonly #channels = new Map<string, Channel>()
  #again: Timer
  #closed = false

  constructor(topology: Topology) {
    this.#topology = topology
  }

  /** Rejects with a `StoreError`; what could not be subscribed to now will be when that can be. */
  async add(names: readonly string[], on: Pick<Channel, "hear" | "begun">): Promise<void> {
    const added = names.map((name) => {
      const known = this.#channels.get(name)
      if (known) return known
      const channel: Channel = { name, ...on, at: undefined, call: undefined }
      this.#channels.set(name, channel)
      return channel
    })
    await Promise.all(added.map((channel) => channel.at ?? this.#subscribe(channel)))
  }

  remove(names: Iterable<string>): void {
    for (const name of names) {
      const channel = this.#channels.get(name)
      this.#channels.delete(name)
      channel?.at?.ear.send("sunsubscribe", [name], answerMs).catch(() => {
        // The connection is gone, and the subscription with it.
      })
    }
  }

  heard(name: string, text: string): void {
    this.#channels.get(name)?.hear(text)
  }

  /** All that the node was subscribed to is, or may be, gone. */
  lost(node: ClusterNode): void {
    for (const channel of this.#channels.values()) if (channel.at === node) channel.at = undefined
    this.follow()
  }

  /** Subscribes to each channel at the node that serves it now. */
  follow(): void {
    for (const channel of this.#channels.values()) {
      if (channel.at && channel.at === this.#topology.nodeOf(slotOf(channel.name))) continue
      this.#subscribe(channel).catch(() => {
        // Tried again by itself, unless the server refuses it, which the start has found out.
      })
    }
  }

  close(): void {
    this.#closed = true
    systemClock.clearTimeout(this.#again)
    this.#channels.clear()
  }

  #subscribe(channel: Channel): Promise<void> {
    channel.call ??= this.#subscribeNow(channel).finally(() => {
      channel.call = undefined
    })
    return channel.call
  }

  async #subscribeNow(channel: Channel): Promise<void> {
    let node = this.#topology.nodeOf(slotOf(channel.name))
    for (let hops = 0; ; hops++) {
      try {
        if (!node) throw new StoreError(`no node is known for channel ${channel.name}`, "unavailable")
        await node.ear.opened()
        await node.ear.send("ssubscribe", [channel.name], answerMs)
        channel.at = node
        channel.begun()
        return
      } catch (error) {
        const redirect = redirectOf(error)
        if (redirect && node && hops < redirectsMost) {
          node = this.#topology.heard(redirect, node)
          continue
        }
        if (!(error instanceof StoreError && error.fate === "refused" && !redirect)) this.#later()
        throw error
      }
    }
  }

  #later(): void {
    if (this.#closed || this.#again !== undefined) return
    this.#again = systemClock.setTimeout(() => {
      this.#again = undefined
      this.follow()
    }, againMs)
  }
}
