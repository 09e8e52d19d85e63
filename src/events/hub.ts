import { TaskoraError } from "../model/errors.ts"
import {
  type AppEvents,
  appEventNames,
  type EventMeta,
  type TaskEventName,
  type TaskEvents,
  taskEventNames,
  type WorkflowEventName,
  workflowEventNames,
} from "../model/events.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import { closedError } from "../store/failure.ts"
import { workflowsTask } from "../store/keys.ts"
import { scripts } from "../store/scripts.ts"
import type { Rebirth, StreamEvent } from "../store/stream.ts"
import { type Delivery, delivery } from "./delivery.ts"
import { Emitter } from "./emitter.ts"
import { persist } from "./persist.ts"
import { Reader } from "./reader.ts"

const appTaskEvents = taskEventNames.map((name) => `task:${name}` as const)
const appWorkflowEvents = workflowEventNames.map((name) => `workflow:${name}` as const)

/** Somebody who wants one job's events. */
export interface Follower {
  readonly id: string
  hear(delivery: Delivery): void
  /** An event of the job could not be read. */
  missed(event: StreamEvent, error: Error): void
  /** Events of the task were lost, perhaps the job's. */
  lookAgain(): void
  closed(): void
}

interface TaskChannel {
  readonly emitter: Emitter<TaskEvents>
  readonly followers: Map<string, Set<Follower>>
}

/** Brings stream events to those who asked: listeners of a task, of the app, of one job, and waiters for results. */
export class EventHub {
  readonly app: Emitter<AppEvents>
  readonly reader: Reader
  private readonly channels = new Map<string, TaskChannel>()
  private open = false
  private stopped = false

  constructor(
    private readonly core: Core,
    private readonly codec: Codec,
  ) {
    this.app = new Emitter(appEventNames, {
      failed: (error, name) => this.listenerFailed(error, name),
      changed: () => this.review(),
    })
    this.reader = new Reader(core, this)
  }

  /** Makes room for a task's listeners. */
  declare(task: string): Emitter<TaskEvents> {
    const failed = (error: unknown) => this.listenerFailed(error)
    const emitter = new Emitter<TaskEvents>(taskEventNames, { failed, changed: () => this.review(task) })
    this.channels.set(task, { emitter, followers: new Map() })
    this.review(task)
    return emitter
  }

  /** Reads from now on for all listeners there are; resolves when every position is known. */
  async start(): Promise<void> {
    this.open = true
    await Promise.all(
      [...this.channels.keys()].filter((task) => this.wanted(task)).map((task) => this.reader.join(task)),
    )
  }

  /** Whether failed attempts of this task are somebody's to see. */
  hearsFailures(task: string): boolean {
    return this.app.has("task:failed") || (this.channels.get(task)?.emitter.has("failed") ?? false)
  }

  /** Adds a follower of one job; its stream is read from before the returned promise resolves. */
  async follow(task: string, follower: Follower): Promise<void> {
    if (this.stopped) throw closedError()
    const channel = this.channel(task)
    const followers = channel.followers.get(follower.id) ?? new Set()
    channel.followers.set(follower.id, followers.add(follower))
    await this.reader.join(task)
  }

  /** `id`: under which it was added, where that is no longer its own. */
  unfollow(task: string, follower: Follower, id = follower.id): void {
    const { followers } = this.channel(task)
    const set = followers.get(id)
    set?.delete(follower)
    if (set?.size === 0) followers.delete(id)
    this.review(task)
  }

  /** Ends everybody's waiting. */
  stop(): void {
    this.stopped = true
    this.reader.stop()
    for (const { followers } of this.channels.values())
      for (const set of followers.values()) for (const follower of [...set]) follower.closed()
  }

  async deliver(task: string, events: Iterable<StreamEvent | Rebirth>): Promise<number> {
    const channel = this.channel(task)
    let count = 0
    for (const event of events) {
      if (event.name === "revived") continue
      const followers = channel.followers.get(event.id)
      const listened = channel.emitter.has(event.name) || this.app.has(appName(task, event.name))
      if (!listened && !followers) continue
      const decoded = await this.tryDecode(task, event)
      if (!decoded) continue
      if (listened) {
        count++
        this.emit(task, channel, decoded)
      }
      for (const follower of followers ? [...followers] : []) follower.hear(decoded)
    }
    return count
  }

  lost(task: string): void {
    for (const set of this.channel(task).followers.values())
      for (const follower of [...set]) follower.lookAgain()
  }

  /** What listeners would get of an event. @throws where it cannot be read */
  async decode(task: string, event: StreamEvent): Promise<Delivery> {
    const apart =
      event.name === "completed" && event.fields.result === undefined && event.fields.workflow === undefined
    return delivery(task, event, this.codec, apart ? await this.fetchResult(task, event.id) : undefined)
  }

  private async tryDecode(task: string, event: StreamEvent): Promise<Delivery | undefined> {
    try {
      return await this.decode(task, event)
    } catch (error) {
      this.core.report(error, "other")
      const followers = this.channel(task).followers.get(event.id)
      for (const follower of followers ? [...followers] : []) follower.missed(event, error as Error)
      return undefined
    }
  }

  private async fetchResult(task: string, id: string): Promise<string | undefined> {
    const { link } = this.core
    const keys = link.keys(task)
    const reply = await persist(link, () =>
      link.run(scripts.fetch, keys, { base: keys.base, id, parts: "r" }),
    )
    return reply.result === "" ? undefined : reply.result
  }

  private emit(task: string, { emitter }: TaskChannel, { name, payload, meta }: Delivery): void {
    emitter.emit(name, payload as TaskEvents[TaskEventName] as never, meta)
    const app = appName(task, name)
    if (!this.app.has(app)) return
    const full = task === workflowsTask ? payload : { task, ...payload }
    this.app.emit(app, full as never, meta satisfies EventMeta)
  }

  wanted(task: string): boolean {
    const channel = this.channel(task)
    const names = task === workflowsTask ? appWorkflowEvents : appTaskEvents
    return channel.followers.size > 0 || channel.emitter.hasAny() || this.app.hasAny(names)
  }

  /** Joins and leaves streams as listeners come and go. */
  private review(only?: string): void {
    for (const task of only === undefined ? this.channels.keys() : [only]) {
      const reading = this.reader.isReading(task)
      if (this.wanted(task)) {
        if (this.open && !reading) this.reader.join(task).catch((error) => this.core.report(error, "script"))
      } else if (reading) {
        this.reader.leave(task)
      }
    }
  }

  private channel(task: string): TaskChannel {
    const channel = this.channels.get(task)
    if (!channel) throw new TaskoraError(`task "${task}" is not declared in this app`, "INVALID")
    return channel
  }

  private listenerFailed(error: unknown, name?: string): void {
    // The listener of errors must not be told of its own: it would fail again, for ever.
    if (name === "worker:error") this.core.print(error, "listener")
    else this.core.report(error, "listener")
  }
}

/** What the app's listeners call an event. */
function appName(task: string, name: TaskEventName) {
  return task === workflowsTask
    ? (`workflow:${name as WorkflowEventName}` as const)
    : (`task:${name}` as const)
}
