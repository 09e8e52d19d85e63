import { sleep } from "../model/clock.ts"
import { EventsLostError } from "../model/errors.ts"
import { neutrally } from "../model/neutral.ts"
import type { Core } from "../store/core.ts"
import type { StreamEnd } from "../store/replies.ts"
import { scripts } from "../store/scripts.ts"
import { isRefused, SickKeys } from "../store/sick-keys.ts"
import type { StreamChunk } from "../store/store.ts"
import {
  compareIds,
  decodeEntry,
  entryTime,
  lastSeq,
  type Rebirth,
  type StreamEvent,
  unfold,
} from "../store/stream.ts"

/** Where a reader is in one task's stream. */
interface Position {
  readonly task: string
  id: string
  /** The last transition delivered, or passed over. */
  seq: number
  epoch: string
}

export interface ReaderListener {
  /** Hands events on, in order. Resolves when the cursor may move; never rejects. */
  deliver(task: string, events: Iterable<StreamEvent | Rebirth>): Promise<number>
  /** Some of the task's events will never be delivered: whoever waits for one must look for itself. */
  lost(task: string): void
  /** Whether anybody still wants the task's events. */
  wanted(task: string): boolean
}

const blockMs = 5000
const entriesPerRead = 100
const checkedPerCall = 100
/** In a cluster, where each takes a call of its own, and a node that was lost is doubted by the store itself. */
const checkedInCluster = 5
/** While some stream cannot be read, the others are not waited for as long. */
const sickBlockMs = 1000

/** Reads the streams that somebody listens to, on one connection for the process, and notices what it could not read. */
export class Reader {
  private readonly positions = new Map<string, Position>()
  private readonly joining = new Map<string, Promise<void>>()
  private loop: Promise<void> | undefined
  private nudge: (() => void) | undefined
  private stopped = false
  private checkFrom = 0
  private moved: (() => void)[] = []
  private readonly sick: SickKeys

  constructor(
    private readonly core: Core,
    private readonly listener: ReaderListener,
  ) {
    this.sick = new SickKeys(core.link.clock, (error) => core.report(error, "script"))
  }

  /** Resolves when the task's stream is read from where it ended at some time during this call. @throws StoreError (refused) */
  join(task: string): Promise<void> {
    const { events: key } = this.core.link.keys(task)
    if (this.positions.has(key) || this.stopped) return Promise.resolve()
    let joining = this.joining.get(key)
    if (!joining) {
      joining = this.snapshot(key, task).finally(() => this.joining.delete(key))
      this.joining.set(key, joining)
    }
    return joining
  }

  /** A join of this task's stream that is under way, to be awaited before what it must not miss. */
  joinUnderWay(task: string): Promise<void> | undefined {
    return this.joining.get(this.core.link.keys(task).events)
  }

  isReading(task: string): boolean {
    return this.positions.has(this.core.link.keys(task).events)
  }

  leave(task: string): void {
    this.positions.delete(this.core.link.keys(task).events)
  }

  /** Resolves when the task's events up to `seq` have been delivered, or nobody reads them. */
  async reached(task: string, seq: number): Promise<void> {
    const { events: key } = this.core.link.keys(task)
    while (!this.stopped && (this.positions.get(key)?.seq ?? seq) < seq) {
      await new Promise<void>((resolve) => this.moved.push(resolve))
    }
  }

  stop(): void {
    this.stopped = true
    this.positions.clear()
    this.nudge?.()
    this.wakeWaiting()
    if (this.loop) this.core.link.interruptRead()
  }

  private async snapshot(key: string, task: string): Promise<void> {
    const { link } = this.core
    for (let tries = 0; !this.stopped && !link.closed; tries++) {
      try {
        const [end] = await this.ends([task])
        if (!this.listener.wanted(task)) return
        this.positions.set(key, { task, ...end! })
        this.loop ??= neutrally(() => this.run())
        if (this.nudge) this.nudge()
        else link.interruptRead()
        return
      } catch (error) {
        if (isRefused(error)) throw error
        await link.untilUsable(tries)
      }
    }
  }

  private async run(): Promise<void> {
    for (let failures = 0; !this.stopped; ) {
      if (this.positions.size === 0) {
        await new Promise<void>((resolve) => {
          this.nudge = resolve
        })
        this.nudge = undefined
        continue
      }
      try {
        if (failures > 0) await this.check(true)
        const keys = [...this.positions.keys()].filter((key) => this.sick.isWell(key))
        const chunks = await this.read(keys, this.sick.isEmpty ? blockMs : sickBlockMs)
        if (chunks.length === 0) await this.check(false)
        failures = 0
      } catch (error) {
        // The link tells of lost connections once for all; here reading goes on where it was.
        if (this.stopped) return
        if (isRefused(error)) await this.sortOut()
        failures++
        await sleep(this.core.link.clock, Math.min(25 * 2 ** failures, 2000) * (0.75 + Math.random() / 2))
      }
    }
  }

  private async read(keys: readonly string[], forMs: number): Promise<readonly StreamChunk[]> {
    if (keys.length === 0) {
      await sleep(this.core.link.clock, forMs)
      return []
    }
    const ids = new Map(keys.map((key) => [key, this.positions.get(key)!.id]))
    const chunks = await this.core.link.readStreams(ids, forMs, entriesPerRead)
    for (const chunk of chunks) await this.consume(chunk)
    return chunks
  }

  /** One stream that the server refuses to read must not silence the others. */
  private async sortOut(): Promise<void> {
    try {
      await this.sick.sort([...this.positions.keys()], async (key) => {
        await this.read([key], 1)
      })
    } catch {
      // The connection failed meanwhile; the loop tries again.
    }
  }

  private async consume({ key, entries }: StreamChunk): Promise<void> {
    const position = this.positions.get(key)
    if (!position) return
    let count = 0
    let newest = 0
    for (const [id, text] of entries) {
      // The stream may have been left and joined again, further on, while this read was under way.
      if (compareIds(id, position.id) <= 0) continue
      const entry = decodeEntry(text)
      if (entry) {
        this.notice(position, entry.seq)
        newest = entryTime(id)
        count += await this.listener.deliver(position.task, unfold(entry, newest))
        position.seq = lastSeq(entry)
      }
      position.id = id
    }
    if (count > 0 && this.core.observers.watched) {
      const lagMs = Math.max(0, this.core.link.serverNow() - newest)
      this.core.observers.transition({ kind: "delivered", task: position.task, count, lagMs })
    }
    this.wakeWaiting()
  }

  /** Transitions are numbered without gaps: a jump is a loss of exactly known size. */
  private notice(position: Position, seq: number): void {
    const lost = seq - position.seq - 1
    if (lost === 0) return
    const { task } = position
    const what =
      lost > 0
        ? `${lost} events of task "${task}" were trimmed from its stream before this process read them`
        : `the event stream of task "${task}" went back from ${position.seq} to ${seq}: it was recreated, or a failover lost its end`
    this.tellLost(task, Math.max(0, lost), what)
  }

  private tellLost(task: string, lost: number, message: string): void {
    const { observers } = this.core
    if (observers.watched && lost > 0) observers.transition({ kind: "events lost", task, lost })
    this.listener.lost(task)
    this.core.report(
      new EventsLostError(`${message} (raise events.maxLength, or make listeners faster)`, task, lost),
      "events_lost",
    )
  }

  /** A stream that ends before our position would leave us waiting for ever: look, not at too many streams at a time. */
  private async check(all: boolean): Promise<void> {
    const positions = [...this.positions.values()]
    const from = all || this.checkFrom >= positions.length ? 0 : this.checkFrom
    const to = all
      ? positions.length
      : from + (this.core.link.adapter.slotOf ? checkedInCluster : checkedPerCall)
    this.checkFrom = to
    for (let at = from; at < Math.min(to, positions.length); at += checkedPerCall) {
      const groups = this.core.link.callable(
        positions.slice(at, Math.min(to, at + checkedPerCall)),
        ({ task }) => task,
      )
      const checks = await Promise.allSettled(groups.map((group) => this.checkGroup(group)))
      const failed = checks.filter((check) => check.status === "rejected")
      // Of a node of a cluster that is away, nothing is known until it is back; the others are read meanwhile.
      const worst = failed.find(({ reason }) => isRefused(reason)) ?? failed[0]
      if (worst && (failed.length === checks.length || isRefused(worst.reason))) throw worst.reason
    }
  }

  private async checkGroup(positions: readonly Position[]): Promise<void> {
    const before = positions.map(({ id }) => id)
    const ends = await this.ends(positions.map(({ task }) => task))
    positions.forEach((position, i) => {
      const { id, seq } = ends[i]!
      const order = compareIds(id, position.id)
      // A stream that was emptied ends where a reader stands that has read nothing of it.
      if (position.id === before[i] && (order < 0 || (order === 0 && seq > position.seq)))
        this.goBack(position, ends[i]!)
    })
  }

  private goBack(position: Position, { id, seq, epoch }: StreamEnd): void {
    const { task } = position
    // Counted from 1 again: all of it is new. The same count: what is left was read, and what was not can be told.
    const isNew = epoch !== position.epoch && position.epoch !== ""
    const lost = isNew ? 0 : Math.max(0, seq - position.seq)
    const what = `the event stream of task "${task}" ends before what was read of it: it was recreated or emptied, or a failover lost its end`
    Object.assign(position, isNew ? { id: "0-0", seq: 0, epoch } : { id, seq, epoch })
    this.tellLost(task, lost, what)
  }

  private ends(tasks: readonly string[]): Promise<readonly StreamEnd[]> {
    const { link } = this.core
    const keys = tasks.map((task) => link.keys(task))
    return link.send(
      scripts.snapshot,
      keys.flatMap(({ events, stats }) => [events, stats]),
      [],
    )
  }

  private wakeWaiting(): void {
    const moved = this.moved
    this.moved = []
    for (const resolve of moved) resolve()
  }
}
