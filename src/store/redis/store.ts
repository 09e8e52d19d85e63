import { sleep, systemClock } from "../../model/clock.ts"
import { ConnectionError, TaskoraError } from "../../model/errors.ts"
import { root } from "../keys.ts"
import type {
  Access,
  Needs,
  Reply,
  ScriptSource,
  ServerInfo,
  Store,
  StoreListeners,
  StreamChunk,
} from "../store.ts"
import { Connection } from "./connection.ts"
import { checkPermissions, checkServer } from "./fitness.ts"
import { Interrupt } from "./interrupt.ts"
import type { Ending, Probe } from "./link.ts"
import { Permitted } from "./permitted.ts"
import { StreamReading } from "./reading.ts"
import { answerMs, ScriptCalls } from "./script-calls.ts"
import { Subscriptions } from "./subscriptions.ts"
import { placeText, type Target } from "./target.ts"
import { unreachable } from "./unreachable.ts"
import { WorkWaiting } from "./waiting.ts"

const connectMs = 4_800
const controlKeyMs = 60_000
const farewellMs = 250

export interface RedisStoreOptions {
  readonly target: Target
  readonly prefix: string
  readonly instance: string
  readonly access: Access
}

export class RedisStore implements Store {
  readonly #options: RedisStoreOptions
  readonly #listeners: StoreListeners
  readonly #commands: Connection
  readonly #blocking: Connection
  readonly #reader: Connection
  readonly #subscriptions: Subscriptions
  readonly #reading: StreamReading
  readonly #waiting: WorkWaiting
  readonly #interruptRead: Interrupt
  readonly #interruptWait: Interrupt
  readonly #readKey: string
  readonly #waitKey: string
  readonly #scripts: ScriptCalls
  #server: Pick<ServerInfo, "product" | "version"> | undefined
  readonly #permitted: Permitted
  #connecting: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #poked = false

  constructor(options: RedisStoreOptions, listeners: StoreListeners) {
    this.#options = options
    this.#listeners = listeners
    this.#permitted = new Permitted(options)
    const { target, access } = options
    const control = `${root(options.prefix)}control:${options.instance}`
    const probe: Probe = [access === "read" ? "get" : "del", `${control}:probe`]
    this.#readKey = `${control}:read`
    this.#waitKey = `${control}:wait`
    this.#commands = new Connection(target, {
      role: "commands",
      probe,
      up: () => this.#server && listeners.back(),
      lost: (ending) => this.#lost(ending),
    })
    this.#scripts = new ScriptCalls(this.#commands, { readOnly: access === "read" })
    this.#blocking = new Connection(target, { role: "blocking", probe })
    this.#reader = new Connection(target, { role: "reader", probe })
    this.#subscriptions = new Subscriptions(target, {
      role: "subscriber",
      probe,
      message: (channel, text) => listeners.message(channel, text),
    })
    this.#interruptRead = new Interrupt((number) =>
      this.#poke("xadd", [this.#readKey, "MAXLEN", 1, `${number}-0`, "e", ""]),
    )
    this.#interruptWait = new Interrupt((number) => this.#poke("zadd", [this.#waitKey, number, "i"]))
    this.#reading = new StreamReading(this.#reader, { key: this.#readKey, interrupt: this.#interruptRead })
    this.#waiting = new WorkWaiting(this.#blocking, { key: this.#waitKey, interrupt: this.#interruptWait })
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
    const failure = await this.#commands.openWithin(connectMs)
    try {
      if (failure) throw this.#unreachable(failure)
      const send = (command: string, args: readonly (string | number)[], what: string) =>
        this.#commands.send(command, args, answerMs, what)
      await this.#permitted.check(needs, async (wanted) => {
        if (this.#server) await checkPermissions(send, wanted)
        else this.#server = await checkServer(send, wanted)
      })
    } catch (error) {
      // Whoever never had a server is not kept alive by looking for one.
      if (!this.#server) await this.#commands.stop("not connected")
      throw error
    }
  }

  run(script: ScriptSource, keys: readonly string[], args: readonly (string | number)[]): Promise<Reply> {
    return this.#scripts.run(script, keys, args)
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
    this.#interruptRead.raise()
  }

  interruptWait(): void {
    this.#interruptWait.raise()
  }

  #poke(command: string, args: [key: string, ...rest: (string | number)[]]): void {
    this.#poked = true
    for (const sent of [
      this.#commands.send(command, args, answerMs),
      this.#commands.send("pexpire", [args[0], controlKeyMs], answerMs),
    ]) {
      sent.catch(() => {
        // An interrupt that is lost costs no more than the rest of the block time.
      })
    }
  }

  subscribe(channels: readonly string[]): Promise<void> {
    return this.#subscriptions.add(channels)
  }

  describe(): ServerInfo {
    const { address, port } = this.#options.target
    const place = port === undefined ? { address } : { address, port }
    return { product: "redis", version: "unknown", ...this.#server, ...place }
  }

  connected(): boolean {
    return this.#server !== undefined && this.#commands.isUp
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const others = [this.#blocking.close(), this.#reader.close(), this.#subscriptions.close()]
    if (this.#poked && this.#commands.isUp) await this.#forgetControlKeys()
    await Promise.all([...others, this.#commands.close()])
  }

  async #forgetControlKeys(): Promise<void> {
    const removed = this.#commands.send("del", [this.#readKey, this.#waitKey], answerMs).catch(() => {
      // They expire by themselves.
    })
    await Promise.race([removed, sleep(systemClock, farewellMs)])
  }

  #lost({ message }: Ending): void {
    if (!this.#server || this.#closing) return
    this.#listeners.lost(new ConnectionError(`lost the connection to Redis at ${this.#place}: ${message}`))
  }

  get #place(): string {
    return placeText(this.#options.target)
  }

  #unreachable(ending: Ending): Error {
    if (this.#closing) return new TaskoraError("the store has been closed", "CLOSED")
    return unreachable(ending, this.#place)
  }
}
