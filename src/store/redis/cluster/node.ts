import { systemClock, type Timer } from "../../../model/clock.ts"
import { Connection, type ConnectionOptions } from "../connection.ts"
import type { Ending, Probe } from "../link.ts"
import { answerMs, ScriptCalls } from "../script-calls.ts"
import { type Place, placeText, type Target } from "../target.ts"

export interface NodeListeners {
  up(node: ClusterNode): void
  lost(node: ClusterNode, ending: Ending): void
  /** The connection that reads streams can be used: again, or for the first time. */
  readerUp(node: ClusterNode, again: boolean): void
  /** The connection that hears messages can be used, for the first time or again: what it was subscribed to is gone. */
  earUp(node: ClusterNode): void
  /** A slot has left the node, and with it subscriptions. */
  slotLeft(node: ClusterNode): void
  message(channel: string, text: string): void
}

export interface NodeOptions {
  readonly place: Place
  readonly target: Target
  readonly probe: Probe
  readonly readOnly: boolean
  readonly on: NodeListeners
}

/** Nothing is ever asked on the connection for messages, so a half-open socket would stay unnoticed. */
const heartbeatMs = 10_000

/** A master of a cluster, and this process's connections to it: at most three, each opened at its first use. */
export class ClusterNode {
  readonly place: Place
  readonly name: string
  readonly commands: Connection
  readonly scripts: ScriptCalls
  readonly reader: Connection
  readonly ear: Connection
  #heartbeat: Timer

  constructor({ place, target, probe, readOnly, on }: NodeOptions) {
    this.place = place
    this.name = placeText({ address: place.host, port: place.port })
    const connection = (options: Omit<ConnectionOptions, "probe">) =>
      new Connection(target, { probe, ...options })
    this.commands = connection({
      role: "commands",
      up: () => on.up(this),
      lost: (ending) => on.lost(this, ending),
    })
    this.scripts = new ScriptCalls(this.commands, { readOnly })
    let lost = false
    this.reader = connection({
      role: "reader",
      up: () => on.readerUp(this, lost),
      lost: () => {
        lost = true
      },
    })
    this.ear = connection({
      role: "subscriber",
      up: () => {
        this.#beat()
        on.earUp(this)
      },
      slotLeft: () => on.slotLeft(this),
      message: (channel, text) => on.message(channel, text),
    })
  }

  #beat(): void {
    systemClock.clearTimeout(this.#heartbeat)
    this.#heartbeat = systemClock.setTimeout(() => {
      this.ear.send("ping", [], answerMs).catch(() => {
        // Without an answer the socket is destroyed, which brings us back through up().
      })
      this.#beat()
    }, heartbeatMs)
  }

  async stop(message: string): Promise<void> {
    systemClock.clearTimeout(this.#heartbeat)
    await Promise.all([this.commands, this.reader, this.ear].map((connection) => connection.stop(message)))
  }

  async close(): Promise<void> {
    systemClock.clearTimeout(this.#heartbeat)
    await Promise.all([this.commands, this.reader, this.ear].map((connection) => connection.close()))
  }
}
