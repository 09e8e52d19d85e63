import type { QueueRead } from "./manage/queue-read.ts"
import type { ScheduleFacts, Source, TaskFacts } from "./model/observer.ts"
import type { Definition } from "./rules/definition.ts"
import type { Core } from "./store/core.ts"
import type { Link } from "./store/link.ts"
import { version } from "./version.ts"
import type { Worker } from "./worker/worker.ts"

/** What observers read, and how the app tells it of new tasks. */
export interface SourceHost extends Source {
  declared(definition: Definition): void
  scheduled(name: string): void
}

export function makeSource(
  core: Core,
  host: {
    readonly worker: Worker
    readonly queue: QueueRead
    readonly schedules: () => readonly ScheduleFacts[]
  },
): SourceHost {
  const { link } = core
  const facts: TaskFacts[] = []
  const listeners: ((task: TaskFacts) => void)[] = []
  const scheduled: string[] = []
  const scheduleListeners: ((schedule: string) => void)[] = []
  let server: ReturnType<Source["server"]> | undefined
  return {
    instance: link.instance,
    version,
    adapter: link.adapter.kind,
    prefix: link.adapter.prefix,
    clock: link.clock,
    // Where the store is never changes, and tracing asks with every span.
    server() {
      server ??= serverOf(link)
      return server
    },
    tasks: () => facts,
    onTask(listener) {
      listeners.push(listener)
      for (const task of facts) listener(task)
    },
    schedules: host.schedules,
    onSchedule(listener) {
      scheduleListeners.push(listener)
      for (const name of scheduled) listener(name)
    },
    slots: () => host.worker.use(),
    connected: () => link.connected(),
    ready: () => link.connected() && (host.worker.slots.size === 0 || host.worker.isRunning),
    queue: (timeoutMs) => host.queue.read(timeoutMs),
    declared(definition) {
      const { name, info, objectives, timeoutMs } = definition
      const task: TaskFacts = {
        name,
        handled: definition.handler !== undefined,
        timeoutMs,
        ...info,
        ...(objectives ? { objectives } : {}),
      }
      const known = facts.findIndex((other) => other.name === name)
      if (known < 0) facts.push(task)
      else facts[known] = task
      for (const listener of listeners) listener(task)
    },
    scheduled(name) {
      scheduled.push(name)
      for (const listener of scheduleListeners) listener(name)
    },
  }
}

/** Where the store is, for observers. */
export function serverOf(link: Link): ReturnType<Source["server"]> {
  const { address, port } = link.describe()
  return { ...(address === undefined ? {} : { address }), ...(port === undefined ? {} : { port }) }
}
