import { TaskoraError } from "../model/errors.ts"
import { decodeDefinition } from "../rules/schedule.ts"
import type { Core } from "../store/core.ts"
import { Lane } from "../store/lane.ts"
import { encodeDefinitions, type ScheduleEdit, type StoredSchedule } from "../store/schedule.ts"
import { scripts } from "../store/scripts.ts"
import type { Deliveries } from "./deliveries.ts"

const patienceMs = 5000
const mostTries = 100

/** Writes schedules, each on condition that nobody else wrote it meanwhile; else it looks again. */
export class Editor {
  private readonly lane: Lane
  private turn: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly core: Core,
    private readonly deliveries: Deliveries,
  ) {
    this.lane = new Lane(core.link, "sw")
  }

  /**
   * Writes what `decide` makes of the schedule as it is, asked again when it has changed. Returns what it was then.
   * @throws what `decide` throws; StoreError
   */
  edit(
    name: string,
    decide: (stored: StoredSchedule | undefined, now: number) => ScheduleEdit | undefined,
  ): Promise<StoredSchedule | undefined> {
    const done = this.turn.then(() => this.editNow(name, decide))
    // The next one goes on whatever becomes of this one, whose caller hears of it.
    this.turn = done.catch(() => undefined)
    return done
  }

  async read(names: readonly string[]): Promise<{ at: number; schedules: readonly StoredSchedule[] }> {
    const { link } = this.core
    const reply = await link.run(scripts.schedule_read, link.schedules, { cursor: "", overdue: "" }, names)
    link.heard(reply.at)
    return reply
  }

  private async editNow(
    name: string,
    decide: (stored: StoredSchedule | undefined, now: number) => ScheduleEdit | undefined,
  ): Promise<StoredSchedule | undefined> {
    for (let tries = 0; tries < mostTries; tries++) {
      const { at, schedules } = await this.read([name])
      const [stored] = schedules
      const edit = decide(stored, at)
      if (edit === undefined) return stored
      const { word } = await this.write(name, stored, edit)
      if (word === "written") return stored
      if (word === "open" && stored)
        await this.deliveries.deliver(name, decodeDefinition(stored), stored.state.open)
    }
    throw new TaskoraError(
      `schedule "${name}" was changed by others, or its firings could not be dispatched, ${mostTries} times in a row; try again`,
      "STORE",
    )
  }

  private async write(name: string, stored: StoredSchedule | undefined, edit: ScheduleEdit) {
    const { link } = this.core
    const deadline = link.clock.monotonic() + patienceMs
    const leftMs = () => deadline - link.clock.monotonic()
    const to =
      edit.action === "put" ? edit : { next: "", due: "", paused: false, anchor: "", definition: undefined }
    const args = {
      channel: link.schedules.channel,
      action: edit.action,
      name,
      version: stored?.state.version ?? "",
      next: to.next,
      due: to.due,
      paused: to.paused ? 1 : 0,
      anchor: to.anchor,
      definition: to.definition ? encodeDefinitions(to.definition.declared, to.definition.current) : "",
    }
    const patience = { leftMs, ended: () => leftMs() <= 0 }
    return this.lane.call(scripts.schedule_write, link.schedules, args, [], patience)
  }
}
