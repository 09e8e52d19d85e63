import { sleep, systemClock } from "../../../model/clock.ts"
import { type Reply, StoreError } from "../../store.ts"
import { Connection } from "../connection.ts"
import type { Ending, Probe } from "../link.ts"
import { answerMs } from "../script-calls.ts"
import type { ClusterTarget, Place } from "../target.ts"
import { ClusterNode, type NodeListeners } from "./node.ts"
import type { Redirect } from "./redirect.ts"

const slotCount = 16_384
const againMs = 100
const mostAgainMs = 1_000
/** How long a node that serves no slot any more may go on answering what it was asked. */
const farewellMs = 5_000

export interface TopologyListeners extends Omit<NodeListeners, "up" | "lost"> {
  lost(node: ClusterNode, ending: Ending): void
  /** A node's connection for commands is up, for the first time or again. */
  up(node: ClusterNode): void
  /** Some slot is served by another node than before. */
  changed(): void
  /** Every slot is known to be served, by nodes that answer. */
  whole(): void
}

interface TopologyOptions {
  readonly target: ClusterTarget
  readonly probe: Probe
  readonly readOnly: boolean
  readonly on: TopologyListeners
}

/** Which node serves which slot, kept up to date by what nodes answer. */
export class Topology {
  readonly #options: TopologyOptions
  readonly #nodes = new Map<string, ClusterNode>()
  readonly #leaving = new Set<ClusterNode>()
  #owners: (ClusterNode | undefined)[] = new Array(slotCount)
  #refreshing: Promise<void> | undefined
  #closed = false

  constructor(options: TopologyOptions) {
    this.#options = options
  }

  get nodes(): readonly ClusterNode[] {
    return [...this.#nodes.values()]
  }

  /** Every slot has a node, and every node can be sent commands. */
  get isWhole(): boolean {
    return this.nodes.every(({ commands }) => commands.isUp) && this.#owners.findIndex((node) => !node) < 0
  }

  nodeOf(slot: number): ClusterNode | undefined {
    return this.#owners[slot]
  }

  /** The node at a place that another one named; it need not serve slots yet. */
  nodeAt({ host, port }: Place, from: Place): ClusterNode {
    const place = this.#options.target.reach({ host: host || from.host, port })
    const name = `${place.host}:${place.port}`
    let node = this.#nodes.get(name)
    if (!node) {
      const { target, probe, readOnly, on } = this.#options
      node = new ClusterNode({
        place,
        target: target.node(place),
        probe,
        readOnly,
        on: {
          ...on,
          up: (up) => {
            on.up(up)
            if (this.isWhole) on.whole()
          },
          lost: (lost, ending) => {
            if (this.#nodes.get(name) !== lost) return
            on.lost(lost, ending)
            this.refresh()
          },
        },
      })
      this.#nodes.set(name, node)
      node.commands.opened().catch(() => {
        // It goes on trying; whoever needs the node is told by its own call.
      })
    }
    return node
  }

  /** What an answer says of a slot. Returns the node to be asked instead. */
  heard({ kind, slot, place }: Redirect, from: ClusterNode): ClusterNode {
    const node = this.nodeAt(place, from.place)
    if (kind === "MOVED" && this.#owners[slot] !== node) {
      this.#owners[slot] = node
      this.#options.on.changed()
      this.refresh()
    }
    return node
  }

  /** Learns the whole map from any of the nodes it was told of. Rejects with the ending of the most telling of them. */
  async discover(patienceMs: number): Promise<void> {
    const { target, probe } = this.#options
    const attempts = target.seeds.map(async (seed) => {
      const connection = new Connection(target.node(seed), { role: "commands", probe })
      try {
        const ending = await connection.openWithin(patienceMs)
        if (ending) throw ending
        return { map: await connection.send("cluster", ["slots"], answerMs, "cluster slots"), seed }
      } finally {
        void connection.close()
      }
    })
    try {
      const { map, seed } = await Promise.any(attempts)
      this.#adopt(map, seed)
    } catch (error) {
      if (!(error instanceof AggregateError)) throw error
      const { errors } = error
      throw (
        errors.find((one) => one instanceof StoreError) ??
        errors.find((one: Ending) => one.refused) ??
        errors[0]
      )
    }
  }

  /** Asks for the map, again and again until it is whole. */
  refresh(): void {
    if (this.#closed) return
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
  }

  async #refresh(): Promise<void> {
    for (let tries = 0; !this.#closed; tries++) {
      await sleep(
        systemClock,
        Math.min(mostAgainMs, againMs * 2 ** Math.min(tries, 4)) * (0.5 + Math.random() / 2),
      )
      if (this.#closed) return
      try {
        await this.#ask()
      } catch {
        // Nobody answers: whoever needs a node is told by its own call.
      }
      if (this.isWhole) {
        this.#options.on.whole()
        return
      }
    }
  }

  async #ask(): Promise<void> {
    const up = this.nodes.filter(({ commands }) => commands.isUp).sort(() => Math.random() - 0.5)
    for (const { commands, place } of up) {
      try {
        const map = await commands.send("cluster", ["slots"], answerMs, "cluster slots")
        if (!this.#closed) this.#adopt(map, place)
        return
      } catch {
        // Another one may know.
      }
    }
    await this.discover(answerMs).catch(() => undefined)
  }

  #adopt(map: Reply, from: Place): void {
    const owners: (ClusterNode | undefined)[] = new Array(slotCount)
    for (const [first, last, [host, port]] of map as unknown as [number, number, [string | null, number]][]) {
      owners.fill(this.nodeAt({ host: host === "?" ? "" : (host ?? ""), port }, from), first, last + 1)
    }
    const changed = owners.some((node, slot) => node !== this.#owners[slot])
    this.#owners = owners
    const serving = new Set(owners)
    for (const [name, node] of this.#nodes) {
      if (serving.has(node)) continue
      this.#nodes.delete(name)
      this.#dismiss(node)
    }
    if (changed) this.#options.on.changed()
  }

  #dismiss(node: ClusterNode): void {
    this.#leaving.add(node)
    const end = () => {
      this.#leaving.delete(node)
      void node.stop("the node serves no slots any more")
    }
    if (node.commands.isUp) systemClock.setTimeout(end, farewellMs)
    else end()
  }

  /** Forgets all nodes; the map can be discovered again. */
  async stop(message: string): Promise<void> {
    const nodes = [...this.#nodes.values(), ...this.#leaving]
    this.#nodes.clear()
    this.#leaving.clear()
    this.#owners = new Array(slotCount)
    await Promise.all(nodes.map((node) => node.stop(message)))
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#nodes.values(), ...this.#leaving].map((node) => node.close()))
  }
}
