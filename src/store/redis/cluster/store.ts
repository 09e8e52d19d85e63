import { ConnectionError, PermissionError, TaskoraError } from "../../../model/errors.ts"
import { root } from "../../keys.ts"
import { slotOf } from "../../slots.ts"
import {
  type Needs,
  type Reply,
  type ScriptSource,
  type ServerInfo,
  type Store,
  StoreError,
  type StoreListeners,
  type StreamChunk,
} from "../../store.ts"
import { ReplyError } from "../failures.ts"
import { checkPermissions, checkServer, type Wanted } from "../fitness.ts"
import type { Ending, Probe } from "../link.ts"
import { Permitted } from "../permitted.ts"
import { answerMs } from "../script-calls.ts"
import type { RedisStoreOptions } from "../store.ts"
import { type ClusterTarget, placeText } from "../target.ts"
import { unreachable } from "../unreachable.ts"
import { clusterEdition } from "./edition.ts"
import { ClusterReading, ClusterWaiting } from "./looking.ts"
import type { ClusterNode } from "./node.ts"
import { redirectOf } from "./redirect.ts"
import { ShardedSubscriptions } from "./subscriptions.ts"
import { Topology } from "./topology.ts"

const connectMs = 4_800
const redirectsMost = 5
export interface ClusterStoreOptions extends Omit<RedisStoreOptions, "target"> {
  readonly target: ClusterTarget
}

/** A store whose keys lie on the masters of a cluster, each task's on one of them. */
export class ClusterStore implements Store {
  readonly #options: ClusterStoreOptions
  readonly #listeners: StoreListeners
  readonly #topology: Topology
  readonly #subscriptions: ShardedSubscriptions
  readonly #reading: ClusterReading
  readonly #waiting: ClusterWaiting
  readonly #permitted: Permitted
  #server: Pick<ServerInfo, "product" | "version"> | undefined
  #connecting: Promise<void> | undefined
  #closing: Promise<void> | undefined
  /** Some node is away. */
  #out = false

  constructor(options: ClusterStoreOptions, listeners: StoreListeners) {
    this.#options = options
    this.#listeners = listeners
    this.#permitted = new Permitted({ ...options, cluster: true })
    const probe: Probe = [options.access === "read" ? "get" : "del", `${root(options.prefix)}control:probe`]
    this.#topology = new Topology({
      target: options.target,
      probe,
      readOnly: options.access === "read",
      on: {
        up: () => this.#waiting.doubt(),
        lost: (node, ending) => this.#lost(node, ending),
        changed: () => this.#changed(),
        whole: () => this.#back(),
        readerUp: (_, again) => (again ? this.#reading.doubt() : this.#reading.ring()),
        earUp: (node) => this.#subscriptions.lost(node),
        slotLeft: (node) => {
          this.#topology.refresh()
          this.#subscriptions.lost(node)
        },
        message: (channel, text) => this.#subscriptions.heard(channel, text),
      },
    })
    this.#subscriptions = new ShardedSubscriptions(this.#topology)
    const place = { topology: this.#topology, subscriptions: this.#subscriptions }
    this.#reading = new ClusterReading(place)
    this.#waiting = new ClusterWaiting(place)
  }

  async connect(needs?: Needs): Promise<void> {
    if (this.#closing) throw new TaskoraError("the store has been closed", "CLOSED")
    // Whoever needs more than is being checked asks for the rest afterwards.
    while (this.#connecting) await this.#connecting
    this.#connecting = this.#connect(needs).finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #connect(needs: Needs | undefined): Promise<void> {
    const known = this.#server
    try {
      if (!known) {
        await this.#topology.discover(connectMs).catch((ending: Ending) => {
          throw this.#unreachable(ending)
        })
      }
      await this.#permitted.check(needs, async (wanted) => {
        await Promise.all(this.#topology.nodes.map((node) => this.#check(node, wanted)))
      })
    } catch (error) {
      if (known) throw error
      await this.#topology.stop("not connected")
      this.#server = undefined
      throw error
    }
  }

  async #check({ commands, name }: ClusterNode, wanted: Wanted): Promise<void> {
    const failure = await commands.openWithin(connectMs)
    if (failure) throw unreachable(failure, name)
    const send = (command: string, args: readonly (string | number)[], what: string) =>
      commands.send(command, args, answerMs, what)
    if (this.#permitted.isKnown) await checkPermissions(send, wanted)
    else this.#server = await checkServer(send, wanted)
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

  readStreams(
    positions: ReadonlyMap<string, string>,
    blockMs: number,
    count: number,
  ): Promise<StreamChunk[]> {
    return this.#reading.read(positions, blockMs, count)
  }

  waitForWork(keys: readonly string[], blockMs: number): Promise<readonly string[]> {
    return this.#waiting.wait(keys, blockMs)
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

  #changed(): void {
    this.#subscriptions.follow()
    this.#waiting.doubt()
    if (this.#server) this.#reading.doubt()
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
    const seeds = this.#options.target.seeds.map(({ host, port }) => placeText({ address: host, port }))
    const places = seeds.join(", ")
    if (!(ending instanceof StoreError)) return unreachable(ending, places)
    if (/cluster support disabled/.test(ending.message))
      return new TaskoraError(
        `Redis at ${places} is not part of a cluster; give its URL alone: redisAdapter(url)`,
        "CONNECTION",
      )
    if (ending instanceof ReplyError && ending.code === "NOPERM") {
      const what = "the Redis user may not run cluster slots; add to its ACL: +cluster|slots"
      return new PermissionError(what, ["cluster|slots"])
    }
    return new ConnectionError(`the map of the cluster at ${places} could not be read: ${ending.message}`)
  }
}
