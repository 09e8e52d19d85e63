import { systemClock } from "../../../model/clock.ts"
import { ConnectionError, TaskoraError } from "../../../model/errors.ts"
import { slotOf } from "../../slots.ts"
import {
  type Reply,
  type ScriptSource,
  type ServerInfo,
  type Store,
  StoreError,
  type StoreListeners,
  type StreamChunk,
} from "../../store.ts"
import { checkServer } from "../fitness.ts"
import type { Ending, Probe } from "../link.ts"
import { chunks } from "../reading.ts"
import { answerMs } from "../script-calls.ts"
import type { RedisStoreOptions } from "../store.ts"
import { type ClusterTarget, placeText } from "../target.ts"
import { unreachable } from "../unreachable.ts"
import { clusterEdition } from "./edition.ts"
import type { ClusterNode } from "./node.ts"
import { redirectOf } from "./redirect.ts"
import { ShardedSubscriptions } from "./subscriptions.ts"
import { Topology } from "./topology.ts"
import { Watch } from "./watch.ts"

const connectMs = 4_800
const redirectsMost = 5
/** A key that could not be looked at is looked at again after so long. */
const lookAgainMs = 100
/** How long a stream that nobody reads any more stays subscribed to: whoever waits for results comes and goes. */
const keepMs = 60_000

export interface ClusterStoreOptions extends Omit<RedisStoreOptions, "target"> {
  readonly target: ClusterTarget
}

/** A store whose keys lie on the masters of a cluster, each task's on one of them. */
export class ClusterStore implements Store {
  readonly #options: ClusterStoreOptions
  readonly #listeners: StoreListeners
  readonly #topology: Topology
  readonly #subscriptions: ShardedSubscriptions
  readonly #reading: Watch<StreamChunk>
  readonly #waiting: Watch<string>
  #positions: ReadonlyMap<string, string> = new Map()
  #count = 0
  #server: Pick<ServerInfo, "product" | "version"> | undefined
  #connecting: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #out = false
  /** When a channel of a key that is no longer watched was last wanted. */
  readonly #unwatched = new Map<string, number>()

  constructor(options: ClusterStoreOptions, listeners: StoreListeners) {
    this.#options = options
    this.#listeners = listeners
    const probe: Probe = [options.access === "read" ? "get" : "del", `${options.base}control:probe`]
    this.#topology = new Topology({
      target: options.target,
      probe,
      readOnly: options.access === "read",
      on: {
        up: () => this.#waiting.ringAll(),
        lost: (node, ending) => this.#lost(node, ending),
        changed: () => this.#changed(),
        whole: () => this.#back(),
        readerUp: () => this.#lookAtStreams(),
        earUp: (node) => this.#subscriptions.lost(node),
        slotLeft: (node) => {
          this.#topology.refresh()
          this.#subscriptions.lost(node)
        },
        message: (channel, text) => this.#subscriptions.heard(channel, text),
      },
    })
    this.#subscriptions = new ShardedSubscriptions(this.#topology)
    this.#reading = new Watch({
      join: (keys) => this.#join(keys, this.#reading),
      look: (keys) => this.#read(keys),
    })
    this.#waiting = new Watch({
      join: (keys) => this.#join(keys, this.#waiting),
      look: (keys) => this.#take(keys),
    })
  }

  connect(): Promise<void> {
    if (this.#closing) return Promise.reject(new TaskoraError("the store has been closed", "CLOSED"))
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #connect(): Promise<void> {
    if (this.#server) return
    try {
      await this.#topology.discover(connectMs).catch((ending: Ending) => {
        throw this.#unreachable(ending)
      })
      await Promise.all(this.#topology.nodes.map((node) => this.#check(node)))
    } catch (error) {
      await this.#topology.stop("not connected")
      this.#server = undefined
      throw error
    }
  }

  async #check({ commands, name }: ClusterNode): Promise<void> {
    const failure = await commands.openWithin(connectMs)
    if (failure) throw unreachable(failure, name)
    const send = (command: string, args: readonly (string | number)[], what: string) =>
      commands.send(command, args, answerMs, what)
    this.#server = await checkServer(send, { ...this.#options, cluster: true })
  }

  async run(
    script: ScriptSource,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<Reply> {
    const edition = clusterEdition(script)
    const slot = slotOf(keys[0] ?? "")
    let node = this.#topology.nodeOf(slot)
    let asking = false
    for (let hops = 0; ; hops++) {
      if (!node) throw this.#unserved(script, slot)
      try {
        return await node.scripts.run(edition, keys, args, { asking })
      } catch (error) {
        const redirect = redirectOf(error)
        if (!redirect) throw error
        if (hops === redirectsMost) throw new StoreError((error as Error).message, "unavailable")
        // The script was refused as a whole: it may be sent to the other node as it is.
        node = this.#topology.heard(redirect, node)
        asking = redirect.kind === "ASK"
        if (!node.commands.isUp) await node.commands.opened()
      }
    }
  }

  #unserved({ name }: ScriptSource, slot: number): StoreError {
    const why = this.#closing ? "the store has been closed" : `no node is known to serve slot ${slot}`
    return new StoreError(`script "${name}" was not sent: ${why}`, "unsent")
  }

  async readStreams(
    positions: ReadonlyMap<string, string>,
    blockMs: number,
    count: number,
  ): Promise<StreamChunk[]> {
    this.#positions = positions
    this.#count = count
    return this.#reading.next([...positions.keys()], blockMs)
  }

  waitForWork(keys: readonly string[], blockMs: number): Promise<readonly string[]> {
    return this.#waiting.next(keys, blockMs)
  }

  interruptRead(): void {
    this.#reading.interrupt()
  }

  interruptWait(): void {
    this.#waiting.interrupt()
  }

  subscribe(channels: readonly string[]): Promise<void> {
    const all = channels.map((channel) =>
      this.#subscriptions.add([channel], {
        hear: (text) => this.#listeners.message(channel, text),
        begun: () => {},
      }),
    )
    return Promise.all(all).then(() => {})
  }

  describe(): ServerInfo {
    const { address, port } = this.#options.target
    return { product: "redis", version: "unknown", ...this.#server, address, port }
  }

  connected(): boolean {
    return this.#server !== undefined && !this.#out && !this.#closing
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const closed = new StoreError("the store has been closed", "unanswered")
    this.#reading.end(closed)
    this.#waiting.end(closed)
    this.#subscriptions.close()
    await this.#topology.close()
  }

  /** A key's channel, which has its name, tells when something was added there. */
  #join(keys: readonly string[], watch: Watch<unknown>): void {
    for (const key of keys) {
      this.#unwatched.delete(key)
      this.#subscriptions
        .add([key], { hear: () => watch.ring(key), begun: () => watch.ring(key) })
        .catch(() => {
          // Subscribed to later; a refusal has been found out at the start.
        })
    }
  }

  async #read(keys: readonly string[]): Promise<StreamChunk[]> {
    this.#forget()
    const positions = this.#positions
    const found = await this.#lookAt(keys, {
      watch: this.#reading,
      connection: ({ reader }) => reader,
      command: (key) => ["xread", "COUNT", this.#count, "STREAMS", key, positions.get(key) ?? "0-0"],
    })
    return found.flatMap(({ reply }) => chunks(reply ?? []))
  }

  async #take(keys: readonly string[]): Promise<string[]> {
    const found = await this.#lookAt(keys, {
      watch: this.#waiting,
      connection: ({ commands }) => commands,
      command: (key) => ["zpopmin", key],
    })
    return found.filter(({ reply }) => (reply as Reply[]).length > 0).map(({ key }) => key)
  }

  /** Asks one thing of each key, all at once; what cannot be asked now rings again. @throws StoreError (refused) where nothing else was answered */
  async #lookAt(
    keys: readonly string[],
    how: {
      readonly watch: Watch<unknown>
      readonly connection: (node: ClusterNode) => ClusterNode["reader"]
      readonly command: (key: string) => readonly [string, ...(string | number)[]]
    },
  ): Promise<{ key: string; reply: Reply }[]> {
    const { watch } = how
    let refusal: StoreError | undefined
    const later: string[] = []
    const look = async (key: string) => {
      const node = this.#topology.nodeOf(slotOf(key))
      const connection = node && how.connection(node)
      if (!connection?.isUp) {
        // It rings when it is up.
        connection?.opened().catch(() => {})
        later.push(key)
        return undefined
      }
      try {
        const [command, ...args] = how.command(key)
        return { key, reply: await connection.send(command, args, answerMs) }
      } catch (error) {
        const redirect = redirectOf(error)
        if (redirect?.kind === "MOVED") this.#topology.heard(redirect, node!)
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

  /** Leaves the channels of streams that nobody has read for a while. */
  #forget(): void {
    const now = systemClock.monotonic()
    for (const key of this.#subscriptions.names()) {
      if (!key.endsWith(":events") || this.#reading.isWatched(key)) continue
      const since = this.#unwatched.get(key)
      if (since === undefined) this.#unwatched.set(key, now)
      else if (now - since > keepMs) {
        this.#unwatched.delete(key)
        this.#subscriptions.remove([key])
        this.#reading.forget([key])
      }
    }
  }

  /** A node that was away, or another one in its place, may have lost the end of its streams: the reader looks for itself. */
  #lookAtStreams(): void {
    this.#reading.fail(new StoreError("a node's streams are read anew", "unavailable"))
    this.#reading.ringAll()
  }

  #changed(): void {
    this.#subscriptions.follow()
    this.#waiting.ringAll()
    if (this.#server) this.#lookAtStreams()
  }

  #lost({ name }: ClusterNode, { message }: Ending): void {
    if (!this.#server || this.#closing || this.#out) return
    this.#out = true
    this.#listeners.lost(
      new ConnectionError(`lost the connection to Redis at ${name}, a node of the cluster: ${message}`),
    )
  }

  #back(): void {
    if (!this.#out || this.#closing) return
    this.#out = false
    this.#listeners.back()
  }

  #unreachable(ending: Ending | StoreError): Error {
    if (this.#closing) return new TaskoraError("the store has been closed", "CLOSED")
    if (ending instanceof StoreError)
      return new ConnectionError(`the cluster's map could not be read: ${ending.message}`)
    const places = this.#options.target.seeds.map(({ host, port }) => placeText({ address: host, port }))
    return unreachable(ending, places.join(", "))
  }
}
