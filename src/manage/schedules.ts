import { show } from "../model/duration.ts"
import { invalid } from "../model/options.ts"
import {
  changeSchedule,
  decodeDefinition,
  encodeDefinition,
  firingId,
  type OnMissed,
  type ScheduleChanges,
  type ScheduleRules,
  sameTimes,
} from "../rules/schedule.ts"
import type { Codec } from "../rules/serializer.ts"
import { begin } from "../rules/slots.ts"
import type { Core } from "../store/core.ts"
import { storeFailure } from "../store/failure.ts"
import type { ScheduleEdit, ScheduleState, StoredSchedule } from "../store/schedule.ts"
import { scripts } from "../store/scripts.ts"

export interface ScheduleInfo {
  readonly name: string
  readonly task: string
  /** ms; absent for a cron. */
  readonly every?: number
  readonly cron?: string
  readonly timezone?: string
  readonly data: unknown
  readonly onMissed: OnMissed
  readonly overlap: boolean
  /** ms. */
  readonly jitter: number
  readonly paused: boolean
  /** No running process declares it: it stays as it is and fires no more, until one does or it is removed. */
  readonly orphaned: boolean
  /** When it fires next, ms since the epoch; absent while it is paused, and where it never will. */
  readonly next?: number
  /** The last slot that fired, when it was taken, and its job. */
  readonly last?: { readonly slot: number; readonly at: number; readonly id: string }
  /** Slots so far, by what became of them. */
  readonly fired: number
  readonly missed: number
  readonly skipped: number
}

/** What the schedules need of the app. */
export interface SchedulesHost {
  readonly codec: Codec
  readonly rules: ScheduleRules
  /** Connects, and registers what this app has declared where it is started. */
  readonly ready: () => Promise<void>
  readonly edit: (
    name: string,
    decide: (stored: StoredSchedule | undefined, now: number) => ScheduleEdit | undefined,
  ) => Promise<StoredSchedule | undefined>
  /** Dispatches a job of a task of this app. */
  readonly dispatch: (task: string, data: unknown) => PromiseLike<string>
}

/** The schedules of all apps under this prefix, as they are stored. */
export class Schedules {
  constructor(
    private readonly core: Core,
    private readonly host: SchedulesHost,
  ) {}

  /** All schedules, by name, orphaned ones too. @throws ConnectionError where the store cannot be reached */
  async list(): Promise<ScheduleInfo[]> {
    return this.ask(async () => {
      const { link } = this.core
      const found = new Map<string, StoredSchedule>()
      for (let cursor = "0"; ; ) {
        const page = await link.run(scripts.schedule_read, link.schedules, { cursor, overdue: "" })
        for (const stored of page.schedules) found.set(stored.name, stored)
        cursor = page.cursor
        if (cursor === "0") break
      }
      const declared = await this.declared()
      return [...found.values()]
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map((stored) => this.info(stored, declared))
    })
  }

  /** Undefined where there is no such schedule. */
  async get(name: string): Promise<ScheduleInfo | undefined> {
    return this.ask(async () => {
      const { link } = this.core
      const args = { cursor: "", overdue: "" }
      const { schedules } = await link.run(scripts.schedule_read, link.schedules, args, [String(name)])
      return schedules[0] && this.info(schedules[0], await this.declared())
    })
  }

  /** Nothing fires until `resume()`, in any process; a restart changes nothing of it. @throws TaskoraError (`INVALID`) where there is none */
  async pause(name: string): Promise<void> {
    await this.edit(name, ({ state }) =>
      state.paused ? undefined : { action: "put", ...timesOf(state), paused: true },
    )
  }

  /** Fires again from the next slot on; those that passed meanwhile are not missed. @throws TaskoraError (`INVALID`) where there is none */
  async resume(name: string): Promise<void> {
    await this.edit(name, (stored, now) => {
      if (!stored.state.paused) return undefined
      const times = begin(decodeDefinition(stored), stored.state.anchor, now)
      return { action: "put", ...times, paused: false }
    })
  }

  /**
   * Changes a schedule for all processes, until its code declares something new. Other times begin anew, from now; with the
   * same times the next run stays.
   * @throws TaskoraError (`INVALID`) where there is none, or a change is wrong
   */
  async update<In>(name: string, changes: ScheduleChanges<In>): Promise<void> {
    await this.edit(name, (stored, now) => {
      const old = decodeDefinition(stored)
      const definition = changeSchedule(`schedule "${name}": update`, old, changes, this.host.rules)
      const { paused } = stored.state
      const texts = { declared: stored.declared, current: encodeDefinition(definition) }
      const times = sameTimes(old, definition) ? timesOf(stored.state) : begin(definition, now, now)
      return { action: "put", ...times, paused, definition: texts }
    })
  }

  /** Forgets a schedule. Code that still declares it makes it anew when it starts. False where there was none. */
  async remove(name: string): Promise<boolean> {
    const removed = await this.ask(() =>
      this.host.edit(name, (stored) => (stored ? { action: "drop" } : undefined)),
    )
    return removed !== undefined
  }

  /**
   * Dispatches a job of it now, besides its slots, paused or not; the next run stays, and `overlap: false` knows nothing of
   * it. Returns the job's id.
   * @throws TaskoraError (`INVALID`) where there is none, or its task is not declared in this app
   */
  async trigger(name: string): Promise<string> {
    const stored = await this.edit(name, () => undefined)
    const { task, data } = decodeDefinition(stored)
    this.host.rules.taskOf(task)
    return this.host.dispatch(task, this.host.codec.decode(data, `data of schedule "${name}"`))
  }

  private async edit(
    name: string,
    decide: (stored: StoredSchedule, now: number) => ScheduleEdit | undefined,
  ): Promise<StoredSchedule> {
    const found = await this.ask(() =>
      this.host.edit(name, (stored, now) => {
        if (stored) return decide(stored, now)
        throw invalid(
          `there is no schedule ${show(name)}; declare it with taskora.schedule() and start the app, or look at taskora.schedules.list()`,
        )
      }),
    )
    return found!
  }

  private async ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      await this.host.ready()
      return await question()
    } catch (error) {
      throw storeFailure(error)
    }
  }

  /** The names that some running process declares. */
  private async declared(): Promise<ReadonlySet<string>> {
    const { link } = this.core
    const { workers } = await link.run(scripts.roster, link.shared, {})
    return new Set(workers.flatMap((info) => (JSON.parse(info) as { schedules?: string[] }).schedules ?? []))
  }

  private info(stored: StoredSchedule, declared: ReadonlySet<string>): ScheduleInfo {
    const { name, state } = stored
    const { task, everyMs, cron, timezone, data, onMissed, overlap, jitterMs } = decodeDefinition(stored)
    const { paused, due, slot, at, fired, missed, skipped } = state
    return {
      name,
      task,
      ...(everyMs === undefined ? { cron: cron!, timezone: timezone! } : { every: everyMs }),
      data: this.host.codec.decode(data, `data of schedule "${name}"`),
      onMissed,
      overlap,
      jitter: jitterMs,
      paused,
      orphaned: !declared.has(name),
      ...(due > 0 && !paused ? { next: due } : {}),
      ...(slot > 0 ? { last: { slot, at, id: firingId(name, slot) } } : {}),
      fired,
      missed,
      skipped,
    }
  }
}

function timesOf({ anchor, next, due }: ScheduleState) {
  return { anchor, next: next || ("" as const), due: due || ("" as const) }
}
