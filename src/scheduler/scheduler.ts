import type { Timer } from "../model/clock.ts"
import { neutrally } from "../model/neutral.ts"
import type { ScheduleFacts } from "../model/observer.ts"
import type { ScheduleDefinition } from "../rules/schedule.ts"
import type { Core } from "../store/core.ts"
import type { StoredSchedule } from "../store/schedule.ts"
import { scripts } from "../store/scripts.ts"
import { isRefused } from "../store/sick-keys.ts"
import { StoreError } from "../store/store.ts"
import { type Entry, entryOf } from "./book.ts"
import { Deliveries } from "./deliveries.ts"
import { Editor } from "./editor.ts"
import { register } from "./registration.ts"
import { Ticks } from "./ticks.ts"

/** However far the next firing is, the schedules are read again after this: server and process have clocks of their own. */
const longestSleepMs = 300_000
/** A firing that somebody took so long ago and that is still not known to be dispatched is dispatched by whoever sees it. */
const takeOverMs = 40
const refusedMs = 1000
const atOnce = 100

/**
 * Fires the schedules that this process declares. Every process that declares a schedule does so; a script decides which of
 * them takes a slot, and any of them dispatches what another took and did not dispatch.
 */
export class Scheduler {
  readonly editor: Editor
  readonly deliveries: Deliveries
  private readonly declared = new Map<string, ScheduleDefinition>()
  private unregistered = new Map<string, ScheduleDefinition>()
  private readonly entries = new Map<string, Entry>()
  private readonly unread = new Set<string>()
  private readonly ticks: Ticks
  private registering: Promise<void> | undefined
  private listening: Promise<void> | undefined
  private running = false
  private stopped = false
  private again = false
  private turn: Promise<void> | undefined
  private timer: Timer
  private readAt = Number.NEGATIVE_INFINITY

  constructor(
    private readonly core: Core,
    host: { readonly ready: () => Promise<void> },
  ) {
    this.deliveries = new Deliveries(core, {
      ready: host.ready,
      arrived: (schedule, n) => this.arrived(schedule, n),
      failed: (schedule) => this.later(schedule),
    })
    this.editor = new Editor(core, this.deliveries)
    this.ticks = new Ticks(core, this.deliveries)
  }

  get names(): readonly string[] {
    return [...this.declared.keys()]
  }

  has(name: string): boolean {
    return this.declared.has(name)
  }

  get all(): ReadonlyMap<string, ScheduleDefinition> {
    return this.declared
  }

  declare(name: string, definition: ScheduleDefinition): void {
    this.declared.set(name, definition)
    this.unregistered.set(name, definition)
    if (this.running) this.poke()
  }

  facts(): ScheduleFacts[] {
    return this.names.map((name) => {
      const state = this.entries.get(name)?.state
      return { name, ...(state && !state.paused && state.due > 0 ? { nextAt: state.due } : {}) }
    })
  }

  /** Writes what was declared and is not yet in the store. @throws StoreError */
  async register(): Promise<void> {
    while (this.unregistered.size > 0) {
      this.registering ??= this.registerAll().finally(() => {
        this.registering = undefined
      })
      await this.registering
    }
  }

  /** Resolves when all that was declared is in the store, where this process registers at all. @throws StoreError */
  async registered(): Promise<void> {
    if (this.running) await this.register()
  }

  /** Begins to fire. */
  async start(): Promise<void> {
    if (this.stopped) return
    this.running = true
    if (this.declared.size > 0) await this.listen()
    this.poke()
  }

  /** Somebody wrote a schedule. */
  heard(name: string): void {
    if (!this.declared.has(name)) return
    this.unread.add(name)
    this.poke()
  }

  /** After a lost connection: it may not have been heard what was written meanwhile. */
  back(): void {
    this.readAt = Number.NEGATIVE_INFINITY
    this.poke()
  }

  /** Takes nothing any more; resolves when what was taken is dispatched. */
  async stop(): Promise<void> {
    this.stopped = true
    this.core.link.clock.clearTimeout(this.timer)
    await this.turn
    await this.deliveries.settled()
  }

  private async registerAll(): Promise<void> {
    const batch = this.unregistered
    this.unregistered = new Map()
    try {
      await register(batch, this.editor)
      for (const name of batch.keys()) this.unread.add(name)
    } catch (error) {
      this.unregistered = new Map([...batch, ...this.unregistered])
      throw error
    }
  }

  private listen(): Promise<void> {
    const { link } = this.core
    this.listening ??= link.subscribe([link.schedules.channel]).catch((error: unknown) => {
      // Where the connection was lost it subscribes when it is back.
      if (isRefused(error)) this.core.report(error, "script")
    })
    return this.listening
  }

  private poke(): void {
    if (!this.running || this.stopped) return
    this.again = true
    if (this.turn) return
    this.turn = neutrally(() => this.turns()).finally(() => {
      this.turn = undefined
      // Somebody may have asked for another turn as this one ended.
      if (this.again) this.poke()
      this.arm()
    })
  }

  private async turns(): Promise<void> {
    for (let failures = 0; this.again && !this.stopped; ) {
      this.again = false
      try {
        await this.once()
        failures = 0
      } catch (error) {
        const { link } = this.core
        if (link.closed || this.stopped) return
        // What failed is tried again: as soon as there is a store, or a while after it refused.
        const refused = !(error instanceof StoreError) || error.fate === "refused"
        if (refused && failures === 0) this.core.report(error, "script")
        failures++
        await link.untilUsable(refused ? 6 : failures)
        this.again = true
      }
    }
  }

  private async once(): Promise<void> {
    if (this.declared.size === 0) return
    await this.listen()
    await this.register()
    await this.read()
    this.takeOver()
    await this.ticks.tick(this.due())
    for (const entry of this.entries.values()) this.look(entry)
    if (this.due().length > 0) this.again = true
  }

  /** Follows what the last tick found: a schedule that changed is read, one that is gone is forgotten. */
  private look(entry: Entry): void {
    if (entry.lookAgain === "read") this.unread.add(entry.name)
    if (entry.lookAgain === "gone") this.entries.delete(entry.name)
    if (entry.lookAgain === "read") this.again = true
    entry.lookAgain = undefined
  }

  /** Reads what is known to have changed; now and then everything, firings that nobody dispatches included. */
  private async read(): Promise<void> {
    const { link } = this.core
    const everything = link.clock.monotonic() - this.readAt >= longestSleepMs
    if (everything) {
      this.readAt = link.clock.monotonic()
      for (const name of this.declared.keys()) this.unread.add(name)
    }
    const overdue = everything ? takeOverMs : ""
    while (this.unread.size > 0) {
      const names = [...this.unread].slice(0, atOnce)
      const reply = await link.run(scripts.schedule_read, link.schedules, { cursor: "", overdue }, names)
      link.heard(reply.at)
      const found = new Map(reply.schedules.map((stored) => [stored.name, stored]))
      for (const name of names) {
        this.unread.delete(name)
        if (!found.has(name)) this.entries.delete(name)
      }
      for (const stored of found.values()) this.known(stored)
    }
  }

  private known(stored: StoredSchedule): void {
    const { name, state } = stored
    const before = this.entries.get(name)
    try {
      const seenAt = this.core.link.serverNow()
      const entry = before?.state.version === state.version ? before : entryOf(stored, seenAt)
      Object.assign(entry, { state, seenAt })
      if (this.declared.has(name)) this.entries.set(name, entry)
      // Nobody may declare it any more, but what was taken shall be dispatched.
      else void this.deliveries.deliver(name, entry.definition, state.open)
    } catch (error) {
      this.entries.delete(name)
      this.core.report(error, "script")
    }
  }

  /** Dispatches what others took a while ago. It was read just now, or is read before. */
  private takeOver(): void {
    const now = this.core.link.serverNow()
    for (const entry of this.entries.values()) {
      const late = this.waitingFor(entry).filter(({ at }) => now - at >= takeOverMs)
      if (late.length === 0 || entry.notBefore > now) continue
      if (entry.seenAt < now - takeOverMs / 2) this.unread.add(entry.name)
      else void this.deliveries.deliver(entry.name, entry.definition, entry.state.open)
      if (this.unread.has(entry.name)) this.again = true
    }
  }

  private waitingFor(entry: Entry) {
    return entry.state.open.filter((firing) => !this.deliveries.has(entry.name, firing))
  }

  private due(): Entry[] {
    const now = this.core.link.serverNow()
    return [...this.entries.values()]
      .filter(
        ({ state, notBefore }) => !state.paused && state.due > 0 && Math.max(state.due, notBefore) <= now,
      )
      .slice(0, atOnce)
  }

  private arm(): void {
    const { link } = this.core
    link.clock.clearTimeout(this.timer)
    if (this.stopped || !this.running || this.declared.size === 0) return
    const now = link.serverNow()
    let at = now + longestSleepMs
    for (const entry of this.entries.values()) {
      const { state, notBefore } = entry
      if (!state.paused && state.due > 0) at = Math.min(at, Math.max(state.due, notBefore))
      for (const firing of this.waitingFor(entry))
        at = Math.min(at, Math.max(firing.at + takeOverMs, notBefore))
    }
    this.timer = link.clock.setTimeout(() => this.poke(), Math.max(1, Math.ceil(at - now)))
  }

  /** A firing is dispatched and noted. */
  private arrived(schedule: string, n: number): void {
    const entry = this.entries.get(schedule)
    if (entry) entry.state = { ...entry.state, open: entry.state.open.filter((firing) => firing.n !== n) }
  }

  /** A firing could not be dispatched. */
  private later(schedule: string): void {
    const entry = this.entries.get(schedule)
    if (entry) entry.notBefore = this.core.link.serverNow() + refusedMs
    if (!this.turn) this.arm()
  }
}
