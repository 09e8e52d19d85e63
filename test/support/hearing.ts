import type { App, EventMeta, Task, TaskEventName, TaskEvents } from "../../src/index.ts"
import { taskEventNames } from "../../src/model/events.ts"
import { until } from "./hosts.ts"

export interface Heard<K extends TaskEventName = TaskEventName> {
  readonly event: K
  readonly payload: TaskEvents[K]
  readonly meta: EventMeta
}

/** All that was heard, in order. */
export class Hearing {
  readonly all: Heard[] = []

  add(event: TaskEventName, payload: unknown, meta: EventMeta): void {
    this.all.push({ event, payload: payload as TaskEvents[TaskEventName], meta })
  }

  /** Payloads of one event. */
  of<K extends TaskEventName>(event: K): TaskEvents[K][] {
    return this.all.filter((heard) => heard.event === event).map((heard) => heard.payload as TaskEvents[K])
  }

  /** Names of one job's events, in order. */
  names(id: string): TaskEventName[] {
    return this.all.filter(({ payload }) => payload.id === id).map(({ event }) => event)
  }

  /** Waits until an event was heard so often. */
  async until(event: TaskEventName, count = 1, ms?: number): Promise<void> {
    await until(() => this.of(event).length >= count, `${event} was heard ${count} times`, ms)
  }
}

/** Listens to all seven events of a task. */
export function hearTask(task: Pick<Task, "on">): Hearing {
  const hearing = new Hearing()
  for (const event of taskEventNames) task.on(event, (payload, meta) => hearing.add(event, payload, meta))
  return hearing
}

/** Listens to all seven `task:*` events of an app. */
export function hearApp(app: App): Hearing {
  const hearing = new Hearing()
  for (const event of taskEventNames) {
    app.on(`task:${event}`, (payload: unknown, meta: EventMeta) => hearing.add(event, payload, meta))
  }
  return hearing
}
