import {
  type Reply,
  type ScriptSource,
  type ServerInfo,
  type Store,
  StoreError,
  type StoreListeners,
  type StreamChunk,
} from "../store.ts"
import { type Bytes, fromBytes, toBytes } from "./bytes.ts"
import type { Engine } from "./engine.ts"
import { compareIds, type Entry, formatId, lastId, type StreamId } from "./stream.ts"
import { parseId } from "./stream-ids.ts"
import { turnOfLoop } from "./turn.ts"
import type { Wait } from "./waits.ts"

/** Redis' version whose behaviour the embedded engine keeps to. */
const imitatedVersion = "7.0.15"

/** The field of a stream entry that carries its text. */
const textField = "e"

/** A store within the process. Its calls answer later, as over a network, though their work is done at once. */
export class EmbeddedStore implements Store {
  private state: "new" | "open" | "closed" = "new"
  private readonly reads = new Interruptible<StreamChunk[]>()
  private readonly works = new Interruptible<readonly string[]>()
  private readonly deliver = (channel: Bytes, text: Bytes) =>
    this.listeners.message(fromBytes(channel), fromBytes(text))

  constructor(
    private readonly engine: Engine,
    private readonly listeners: StoreListeners,
  ) {}

  async connect(): Promise<void> {
    this.refuseIfClosed()
    await this.engine.load()
    this.refuseIfClosed()
    this.state = "open"
  }

  async run(
    script: ScriptSource,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<Reply> {
    this.requireOpen()
    const reply = this.engine.run(script, keys, args)
    await turnOfLoop()
    if (this.state === "closed") throw unanswered()
    return reply
  }

  async readStreams(
    positions: ReadonlyMap<string, string>,
    blockMs: number,
    count: number,
  ): Promise<StreamChunk[]> {
    this.requireOpen()
    const after = [...positions].map(([key, id]) => [toBytes(key), parseId(id, 0)] as const)
    const keys = after.map(([key]) => key)
    const read = () => {
      const chunks = after
        .map(([key, id]) => this.entriesAfter(key, id, count))
        .filter((chunk) => chunk !== undefined)
      return chunks.length > 0 ? chunks : undefined
    }
    return this.reads.wait(() => this.engine.waits.begin(keys, blockMs, read, []), [])
  }

  async waitForWork(keys: readonly string[], blockMs: number): Promise<readonly string[]> {
    this.requireOpen()
    const take = (key: Bytes) => (this.takeMarker(key) ? [fromBytes(key)] : undefined)
    return this.works.wait(
      () => this.engine.waits.begin<readonly string[]>(keys.map(toBytes), blockMs, take, []),
      [],
    )
  }

  interruptRead(): void {
    this.reads.interrupt()
  }

  interruptWait(): void {
    this.works.interrupt()
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    this.requireOpen()
    for (const channel of channels) this.engine.channels.subscribe(toBytes(channel), this.deliver)
  }

  describe(): ServerInfo {
    return { product: "memory", version: imitatedVersion }
  }

  connected(): boolean {
    return this.state === "open"
  }

  async close(): Promise<void> {
    if (this.state === "closed") return
    this.state = "closed"
    this.engine.channels.leave(this.deliver)
    this.reads.fail(unanswered())
    this.works.fail(unanswered())
  }

  private refuseIfClosed(): void {
    if (this.state === "closed") throw new StoreError("the memory store is closed", "unsent")
  }

  private requireOpen(): void {
    this.refuseIfClosed()
    if (this.state === "new") throw new StoreError("the memory store is not connected", "unsent")
  }

  private entriesAfter(key: Bytes, position: StreamId, count: number): StreamChunk | undefined {
    const stream = this.engine.keyspace.find(key, "stream")
    if (stream === undefined || compareIds(stream.last, position) <= 0) return undefined
    const from = { ms: position.ms, seq: position.seq + 1 }
    const entries = stream.range(from, lastId, count, false)
    if (entries.length === 0) return undefined
    return { key: fromBytes(key), entries: entries.map((entry) => [formatId(entry), textOf(entry)] as const) }
  }

  private takeMarker(key: Bytes): boolean {
    return this.engine.keyspace.takeLowest(key) !== undefined
  }
}

function unanswered(): StoreError {
  return new StoreError("the memory store was closed", "unanswered")
}

function textOf(entry: Entry): string {
  for (let index = 0; index < entry.fields.length; index += 2)
    if (entry.fields[index] === textField) return fromBytes(entry.fields[index + 1]!)
  return ""
}

/** Waits that can be interrupted; an interruption while there is none counts for the next one. */
class Interruptible<T> {
  private readonly under = new Set<Wait<T>>()
  private interrupted = false

  async wait(begin: () => Wait<T>, none: T): Promise<T> {
    if (this.interrupted) {
      this.interrupted = false
      return none
    }
    const wait = begin()
    this.under.add(wait)
    try {
      return await wait.promise
    } finally {
      this.under.delete(wait)
    }
  }

  interrupt(): void {
    if (this.under.size === 0) this.interrupted = true
    for (const wait of this.under) wait.stop()
  }

  fail(error: Error): void {
    for (const wait of this.under) wait.fail(error)
  }
}
