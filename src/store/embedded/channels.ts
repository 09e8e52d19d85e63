import type { Bytes } from "./bytes.ts"

export type Subscriber = (channel: Bytes, message: Bytes) => void

/** Publish and subscribe within the process. Messages arrive after the script that sent them. */
export class Channels {
  private readonly subscribers = new Map<Bytes, Set<Subscriber>>()

  subscribe(channel: Bytes, subscriber: Subscriber): void {
    const known = this.subscribers.get(channel)
    if (known === undefined) this.subscribers.set(channel, new Set([subscriber]))
    else known.add(subscriber)
  }

  leave(subscriber: Subscriber): void {
    for (const [channel, subscribers] of this.subscribers) {
      subscribers.delete(subscriber)
      if (subscribers.size === 0) this.subscribers.delete(channel)
    }
  }

  /** Answers how many will receive the message. */
  publish(channel: Bytes, message: Bytes): number {
    const subscribers = this.subscribers.get(channel)
    if (subscribers === undefined) return 0
    for (const subscriber of subscribers)
      queueMicrotask(() => {
        if (this.subscribers.get(channel)?.has(subscriber)) subscriber(channel, message)
      })
    return subscribers.size
  }
}
