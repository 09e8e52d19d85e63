import { systemClock } from "../../../model/clock.ts"
import { slotOf } from "../../slots.ts"
import { type Reply, StoreError, type StreamChunk } from "../../store.ts"
import { chunks } from "../reading.ts"
import { answerMs } from "../script-calls.ts"
import type { ClusterNode } from "./node.ts"
import { redirectOf } from "./redirect.ts"
import type { ShardedSubscriptions } from "./subscriptions.ts"
import type { Topology } from "./topology.ts"
import { Watch } from "./watch.ts"

/** A key that could not be looked at is looked at again after so long. */
const lookAgainMs = 100
/** How long a stream that nobody reads any more stays subscribed to: whoever waits for results comes and goes. */
const keepMs = 60_000

interface Place {
  readonly topology: Topology
  readonly subscriptions: ShardedSubscriptions
}

interface Question {
  readonly watch: Watch<unknown>
  readonly connection: (node: ClusterNode) => ClusterNode["reader"]
  readonly command: (key: string) => readonly [string, ...(string | number)[]]
}

/** Reads streams of any slots: those whose channels told of something new, on a connection of their own to each node. */
export class ClusterReading {
  readonly #at: Place
  readonly #watch: Watch<StreamChunk>
  #positions: ReadonlyMap<string, string> = new Map()
  #count = 0
  /** Since when nobody has read a stream whose channel is still subscribed to. */
  readonly #idleSince = new Map<string, number>()

  constructor(place: Place) {
    this.#at = place
    this.#watch = new Watch({
      join: (keys) => {
        for (const key of keys) this.#idleSince.delete(key)
        join(keys, this.#watch, place.subscriptions)
      },
      left: (keys) => {
        for (const key of keys) this.#idleSince.set(key, systemClock.monotonic())
      },
      look: (keys) => this.#look(keys),
    })
  }

  read(positions: ReadonlyMap<string, string>, blockMs: number, count: number): Promise<StreamChunk[]> {
    this.#positions = positions
    this.#count = count
    this.#forget()
    return this.#watch.next([...positions.keys()], blockMs)
  }

  interrupt(): void {
    this.#watch.interrupt()
  }

  /** A node was away, or another one is in its place, and may have lost the end of its streams: the reader looks for itself. */
  doubt(): void {
    this.#watch.fail(
      new StoreError("a node was lost meanwhile, its streams are looked at anew", "unavailable"),
    )
    this.#watch.ringAll()
  }

  /** Streams can be looked at that could not before. */
  ring(): void {
    this.#watch.ringAll()
  }

  end(error: StoreError): void {
    this.#watch.end(error)
  }

  async #look(keys: readonly string[]): Promise<StreamChunk[]> {
    const positions = this.#positions
    const found = await lookAt(keys, this.#at.topology, {
      watch: this.#watch,
      connection: ({ reader }) => reader,
      command: (key) => ["xread", "COUNT", this.#count, "STREAMS", key, positions.get(key) ?? "0-0"],
    })
    const read = found.flatMap(({ reply }) => chunks(reply ?? []))
    // There may be more of them, of which no message will tell.
    for (const { key, entries } of read) if (entries.length >= this.#count) this.#watch.ring(key)
    return read
  }

  #forget(): void {
    const before = systemClock.monotonic() - keepMs
    for (const [key, since] of this.#idleSince) {
      if (since > before) break
      this.#idleSince.delete(key)
      this.#at.subscriptions.remove([key])
      this.#watch.forget(key)
    }
  }
}

/** Waits for wake markers at keys of any slots, and takes them. */
export class ClusterWaiting {
  readonly #topology: Topology
  readonly #watch: Watch<string>

  constructor({ topology, subscriptions }: Place) {
    this.#topology = topology
    this.#watch = new Watch({
      join: (keys) => join(keys, this.#watch, subscriptions),
      look: (keys) => this.#look(keys),
    })
  }

  wait(keys: readonly string[], blockMs: number): Promise<readonly string[]> {
    return this.#watch.next(keys, blockMs)
  }

  interrupt(): void {
    this.#watch.interrupt()
  }

  /** Messages may have been missed. */
  doubt(): void {
    this.#watch.ringAll()
  }

  end(error: StoreError): void {
    this.#watch.end(error)
  }

  async #look(keys: readonly string[]): Promise<string[]> {
    const found = await lookAt(keys, this.#topology, {
      watch: this.#watch,
      connection: ({ commands }) => commands,
      command: (key) => ["zpopmin", key],
    })
    return found.filter(({ reply }) => (reply as Reply[]).length > 0).map(({ key }) => key)
  }
}

/** A key's channel, which has its name, tells when something was added there. */
function join(keys: readonly string[], watch: Watch<unknown>, subscriptions: ShardedSubscriptions): void {
  const on = (key: string) => ({ hear: () => watch.ring(key), begun: () => watch.ring(key) })
  for (const key of keys) {
    subscriptions.add([key], on(key)).catch(() => {
      // Subscribed to later; a refusal has been found out at the start.
    })
  }
}

/**
 * Asks one thing of each key, all at once. What cannot be asked now rings again later.
 * @throws StoreError (refused) where nothing else was answered
 */
async function lookAt(
  keys: readonly string[],
  topology: Topology,
  { watch, connection, command }: Question,
): Promise<{ key: string; reply: Reply }[]> {
  let refusal: StoreError | undefined
  const later: string[] = []
  const look = async (key: string) => {
    const node = topology.nodeOf(slotOf(key))
    const door = node && connection(node)
    if (!door?.isUp) {
      door?.opened().catch(() => {
        // It goes on trying, and keys ring when it is up.
      })
      later.push(key)
      return undefined
    }
    try {
      const [name, ...args] = command(key)
      return { key, reply: await door.send(name, args, answerMs) }
    } catch (error) {
      const redirect = redirectOf(error)
      if (redirect?.kind === "MOVED") topology.heard(redirect, node!)
      if (!redirect && error instanceof StoreError && error.fate === "refused") {
        refusal = error
        watch.ring(key)
      } else {
        later.push(key)
      }
      return undefined
    }
  }
  const found = (await Promise.all(keys.map(look))).filter((one) => one !== undefined)
  if (later.length > 0) {
    systemClock.setTimeout(() => {
      for (const key of later) watch.ring(key)
    }, lookAgainMs)
  }
  if (refusal && found.length === 0) throw refusal
  return found
}
