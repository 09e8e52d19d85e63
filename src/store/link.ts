import { type Clock, sleep } from "../model/clock.ts"
import { newId } from "../model/names.ts"
import type { StoreCall } from "../model/observer.ts"
import type { Observers } from "../model/observers.ts"
import { closedError } from "./failure.ts"
import {
  type ScheduleKeys,
  type SharedKey,
  scheduleKeys,
  sharedKeys,
  type TaskKeys,
  taskKeys,
} from "./keys.ts"
import type { Script } from "./script.ts"
import { bySlot } from "./slots.ts"
import type { Access, Adapter, Needs, ServerInfo, Store, StreamChunk } from "./store.ts"

/** The version of what lies in the store: keys, records, entries. Another number is refused at start. */
export const wireVersion = "2"

export interface LinkListeners {
  lost(error: Error): void
  back(): void
  message(channel: string, text: string): void
}

/** One app's use of its store: typed script calls, each wrapped by the observers, and news of the connection. */
export class Link {
  readonly instance = newId().slice(0, 10)
  readonly clock: Clock
  readonly shared: Readonly<Record<SharedKey, string>>
  readonly schedules: ScheduleKeys
  closed = false
  /** Rises each time that the store is there again: it may be another server then. */
  joins = 0
  /** In an outage: the connection was lost and is not back, or the last attempt to have a first one failed. */
  away = false
  /** Server time minus this process's time, ms, from the last script's answer; smooth enough for lags. */
  clockOffset = 0
  private readonly store: Store
  private readonly known = new Map<string, TaskKeys>()
  /** The keys of each script in its order, made once for each task. */
  private readonly keyLists = new WeakMap<object, Map<string, readonly string[]>>()
  private readonly calls = new Map<string, StoreCall>()
  private readonly waiting = new Set<() => void>()

  constructor(
    readonly adapter: Adapter,
    private readonly surroundings: {
      readonly observers: Observers
      readonly listeners: LinkListeners
      readonly access?: Access
    },
  ) {
    const { access, listeners } = surroundings
    this.clock = adapter.clock
    this.shared = sharedKeys(adapter.prefix, adapter.slotOf !== undefined)
    this.schedules = scheduleKeys(adapter.prefix)
    const heard: LinkListeners = {
      lost: (error) => {
        this.away = true
        listeners.lost(error)
      },
      message: (channel, text) => listeners.message(channel, text),
      back: () => {
        this.away = false
        this.joins++
        this.release()
        listeners.back()
      },
    }
    this.store = adapter.open(this.instance, heard, access)
  }

  keys(task: string): TaskKeys {
    let keys = this.known.get(task)
    if (!keys) {
      keys = taskKeys(this.adapter.prefix, task)
      this.known.set(task, keys)
    }
    return keys
  }

  /** Puts tasks together that one call may speak for: all of them, or in a cluster those of one slot. */
  callable<T>(items: readonly T[], taskOf: (item: T) => string): T[][] {
    return bySlot(items, this.adapter.slotOf, (item) => this.keys(taskOf(item)).base)
  }

  async connect(needs?: Needs): Promise<void> {
    try {
      await this.observed("connect", false, () => this.store.connect(needs))
      this.away = false
    } catch (error) {
      this.away = true
      throw error
    }
  }

  /** @throws StoreError */
  run<K extends string, A extends string, T>(
    script: Script<K, A, T>,
    keys: Readonly<Record<K, string>> & { readonly task?: string },
    args: Readonly<Record<A, string | number>>,
    rest: readonly (string | number)[] = [],
  ): Promise<T> {
    const values: (string | number)[] = []
    for (const name of script.args) values.push(args[name])
    for (const value of rest) values.push(value)
    const carriesJobs =
      script.name === "launch" || (rest.length > 0 && (script.name === "enqueue" || script.name === "settle"))
    return this.send(script, this.keyList(script, keys), values, carriesJobs ? keys.task : undefined)
  }

  /** Calls a script whose keys and arguments come in groups. `task`: where the call carries its jobs. @throws StoreError */
  async send<K extends string, A extends string, T>(
    script: Script<K, A, T>,
    keys: readonly string[],
    args: readonly (string | number)[],
    task?: string,
  ): Promise<T> {
    if (this.closed) throw closedError()
    if (!this.surroundings.observers.wrapsCalls)
      return script.reply(await this.store.run(script.source, keys, args))
    const call = this.storeCall(script.name, false, task)
    const send = () => this.store.run(script.source, keys, args)
    return script.reply(await this.surroundings.observers.storeCall(call, send))
  }

  readStreams(
    positions: ReadonlyMap<string, string>,
    blockMs: number,
    count: number,
  ): Promise<StreamChunk[]> {
    return this.observed("read", true, () => this.store.readStreams(positions, blockMs, count))
  }

  waitForWork(keys: readonly string[], blockMs: number): Promise<readonly string[]> {
    return this.observed("wait", true, () => this.store.waitForWork(keys, blockMs))
  }

  interruptRead(): void {
    this.observed("poke", true, async () => this.store.interruptRead())
  }

  interruptWait(): void {
    this.observed("poke", true, async () => this.store.interruptWait())
  }

  subscribe(channels: readonly string[]): Promise<void> {
    return this.observed("subscribe", true, () => this.store.subscribe(channels))
  }

  describe(): ServerInfo {
    return this.store.describe()
  }

  connected(): boolean {
    return !this.closed && this.store.connected()
  }

  /** Server time as this process believes it to be, ms. */
  serverNow(): number {
    return this.clock.now() + this.clockOffset
  }

  /** Keeps the offset of the server's clock up to date with a time from a script's answer. */
  heard(serverTime: number): void {
    this.clockOffset = serverTime - this.clock.now()
  }

  /** Resolves when it is worth trying again: after a reconnect, or after a while that grows with `tries`. */
  async untilUsable(tries: number, atMostMs = Number.POSITIVE_INFINITY): Promise<void> {
    const backoff = Math.min(25 * 2 ** Math.min(tries, 6), 1000) * (0.75 + Math.random() / 2)
    const ms = Math.max(0, Math.min(backoff, atMostMs))
    if (this.store.connected()) return sleep(this.clock, ms)
    await new Promise<void>((resolve) => {
      const go = () => {
        this.waiting.delete(go)
        this.clock.clearTimeout(timer)
        resolve()
      }
      const timer = this.clock.setTimeout(go, ms)
      this.waiting.add(go)
    })
  }

  async close(): Promise<void> {
    this.closed = true
    this.release()
    await this.observed("close", true, () => this.store.close())
  }

  private release(): void {
    for (const go of [...this.waiting]) go()
  }

  private observed<T>(name: string, blocking: boolean, run: () => Promise<T>): Promise<T> {
    if (!this.surroundings.observers.wrapsCalls) return run()
    return this.surroundings.observers.storeCall(this.storeCall(name, blocking), run)
  }

  /** One object for each kind of call: observers may keep what they know of it. */
  private storeCall(script: string, blocking: boolean, task?: string): StoreCall {
    const name = task === undefined ? script : `${script} ${task}`
    let call = this.calls.get(name)
    if (!call) {
      call = { script, blocking, ...(task === undefined ? {} : { task }) }
      this.calls.set(name, call)
    }
    return call
  }

  private keyList<K extends string>(
    script: Script<K, string, unknown>,
    keys: Readonly<Record<K, string>>,
  ): readonly string[] {
    let lists = this.keyLists.get(keys)
    if (!lists) {
      lists = new Map()
      this.keyLists.set(keys, lists)
    }
    let list = lists.get(script.name)
    if (!list) {
      list = script.keys.map((name) => keys[name])
      lists.set(script.name, list)
    }
    return list
  }
}
