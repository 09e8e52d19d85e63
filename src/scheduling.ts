import { prepareJob } from "./dispatch-options.ts"
import { Schedules } from "./manage/schedules.ts"
import { show } from "./model/duration.ts"
import { PayloadTooLargeError } from "./model/errors.ts"
import type { ScheduleFacts } from "./model/observer.ts"
import { invalid } from "./model/options.ts"
import type { Definition } from "./rules/definition.ts"
import {
  checkScheduleName,
  resolveSchedule,
  type ScheduleDefinition,
  type ScheduleRules,
} from "./rules/schedule.ts"
import type { Codec } from "./rules/serializer.ts"
import { Scheduler } from "./scheduler/scheduler.ts"
import type { Core } from "./store/core.ts"
import type { Task } from "./task.ts"

/** What schedules need of their app. */
export interface SchedulingHost {
  readonly codec: Codec
  /** Connects, and registers the app's tasks. */
  readonly ready: () => Promise<void>
  readonly task: (name: string) => Task | undefined
  readonly source: { scheduled(schedule: string): void }
  readonly worker: { attend(): Promise<void> }
}

/** An app's schedules: those that it declares and fires, and its hold on those of all apps. */
export class Scheduling {
  readonly schedules: Schedules
  private readonly scheduler: Scheduler

  constructor(
    private readonly core: Core,
    private readonly host: SchedulingHost,
  ) {
    const scheduler = new Scheduler(core, { ready: host.ready })
    this.scheduler = scheduler
    this.schedules = new Schedules(core, {
      codec: host.codec,
      rules: this.rules(),
      ready: async () => {
        await host.ready()
        await scheduler.registered()
      },
      edit: (name, decide) => scheduler.editor.edit(name, decide),
      dispatch: (task, data) => host.task(task)!.dispatch(data),
    })
  }

  /** What the options come to. `own`: the task they are written in, which is about to be declared. @throws TaskoraError */
  resolve(name: string, options: object, own?: Definition): ScheduleDefinition {
    checkScheduleName(name)
    if (this.scheduler.has(name))
      throw invalid(`schedule "${name}" is declared already; give this one another name`)
    return resolveSchedule(`schedule "${name}"`, options, this.rules(own))
  }

  /** The schedule that is written in a task, if any. @throws TaskoraError */
  inTask(task: Definition): ScheduleDefinition | undefined {
    return task.schedule && this.resolve(task.name, { ...task.schedule, task: task.name }, task)
  }

  declare(name: string, definition: ScheduleDefinition): void {
    this.scheduler.declare(name, definition)
    this.host.source.scheduled(name)
    // Others learn who declares it.
    void this.host.worker.attend()
  }

  /** @throws TaskoraError (`INVALID`) where the name is taken or an option is wrong */
  add(name: string, options: object): void {
    this.declare(name, this.resolve(name, options))
  }

  /** Declares all schedules that another app declares and this one does not. */
  adopt(other: Scheduling): void {
    for (const [name, definition] of other.scheduler.all)
      if (!this.scheduler.has(name)) this.declare(name, definition)
  }

  get names(): readonly string[] {
    return this.scheduler.names
  }

  /** Writes what was declared into the store. @throws StoreError */
  register(): Promise<void> {
    return this.scheduler.register()
  }

  /** Begins to fire. */
  start(): Promise<void> {
    return this.scheduler.start()
  }

  stop(): Promise<void> {
    return this.scheduler.stop()
  }

  back(): void {
    this.scheduler.back()
  }

  /** Whether the message was for schedules: that one was written. */
  heard(channel: string, text: string): boolean {
    if (channel !== this.core.link.schedules.channel) return false
    this.scheduler.heard(text)
    return true
  }

  facts(): readonly ScheduleFacts[] {
    return this.scheduler.facts()
  }

  private rules(own?: Definition): ScheduleRules {
    return {
      taskOf: (task) => this.taskOf(task, own),
      options: (task, data) => {
        const definition = task === own?.name ? own : this.host.task(task)!.definition
        // Firings have names; which, their options need not know.
        return prepareJob({ jobId: "named" }, definition, { core: this.core, data }).options
      },
      encode: (data, task) => this.encode(data, `data of a schedule of task "${task}"`),
    }
  }

  private taskOf(task: unknown, own: Definition | undefined): string {
    const name = typeof task === "object" && task !== null ? (task as { name?: unknown }).name : task
    if (typeof name !== "string")
      throw invalid(`a schedule's task must be a task or its name, not ${show(task)}`)
    if (name === own?.name || this.host.task(name)) return name
    throw invalid(
      `a schedule's task ${show(name)} is not declared in this app; declare it first, with taskora.task(name)`,
    )
  }

  private encode(data: unknown, what: string): string {
    const text = this.host.codec.encode(data, what)
    const limit = this.core.payloadBytes
    const bytes = Buffer.byteLength(text)
    if (bytes <= limit) return text
    throw new PayloadTooLargeError(
      `${what} takes ${bytes} bytes; at most ${limit} are allowed (limits.payloadBytes)`,
      bytes,
      limit,
    )
  }
}
