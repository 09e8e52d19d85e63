import { checkWire } from "./connection.ts"
import { parseInfo, QueueRead } from "./manage/queue-read.ts"
import { systemClock } from "./model/clock.ts"
import { ConnectionError, TaskoraError } from "./model/errors.ts"
import type { QueueSnapshot, Source, TaskQueue } from "./model/observer.ts"
import type { Observers } from "./model/observers.ts"
import { serverOf } from "./source.ts"
import { storeFailure } from "./store/failure.ts"
import { Link } from "./store/link.ts"
import type { RosterReply } from "./store/replies.ts"
import { scripts } from "./store/scripts.ts"
import type { Adapter } from "./store/store.ts"
import { version } from "./version.ts"

const leastBackoffMs = 250
const mostBackoffMs = 5000

/** What a cluster's reader hears of its connection, in words for people. */
export interface ClusterListeners {
  /** Once per outage, the first connection included. */
  lost(error: Error): void
  back(): void
}

/** Reads the queues of every task under a prefix. Has no task itself, registers nowhere, and writes nothing. */
export class Cluster {
  readonly source: Source
  private readonly link: Link
  private readonly listeners: ClusterListeners
  private fit = false
  private wake = () => {}

  constructor(
    adapter: Adapter,
    around: { readonly observers: Observers; readonly listeners: ClusterListeners },
  ) {
    const { observers, listeners } = around
    this.listeners = listeners
    this.link = new Link(adapter, {
      observers,
      access: "read",
      listeners: { ...listeners, message: () => {} },
    })
    const queue = new EveryQueue(this.link)
    this.source = clusterSource(this.link, { queue, ready: () => this.fit && this.link.connected() })
  }

  /**
   * Connects, and goes on trying while the store cannot be reached. Resolves when it was found fit to be read.
   * @throws TaskoraError where trying again is of no use: refused, too old, of another wire version, or closed meanwhile
   */
  async connect(): Promise<void> {
    for (let tries = 0; ; tries++) {
      if (this.link.closed) throw closed()
      try {
        await this.link.connect()
        checkWire(await this.link.run(scripts.wire, this.link.shared, {}))
        this.fit = true
        if (tries > 0) this.listeners.back()
        return
      } catch (error) {
        const failure = storeFailure(error)
        if (this.link.closed) throw closed()
        if (!(failure instanceof ConnectionError) || failure.refused) throw failure
        if (tries === 0) this.listeners.lost(failure)
      }
      await this.pause(Math.min(mostBackoffMs, leastBackoffMs * 2 ** Math.min(tries, 10)))
    }
  }

  async close(): Promise<void> {
    this.link.closed = true
    this.wake()
    await this.link.close()
  }

  /** Holds the process: nothing else might, and an outage must not end an exporter. */
  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = systemClock.setTimeout(resolve, ms * (0.75 + Math.random() / 2), true)
      this.wake = () => {
        systemClock.clearTimeout(timer)
        resolve()
      }
    })
  }
}

function closed(): TaskoraError {
  return new TaskoraError("this exporter is closed; make a new one with clusterExporter()", "CLOSED")
}

function clusterSource(
  link: Link,
  { queue, ready }: { readonly queue: EveryQueue; readonly ready: () => boolean },
): Source {
  return {
    clusterOnly: true,
    instance: link.instance,
    version,
    adapter: link.adapter.kind,
    prefix: link.adapter.prefix,
    clock: link.clock,
    server: () => serverOf(link),
    tasks: () => [],
    onTask: () => {},
    schedules: () => [],
    onSchedule: () => {},
    slots: () => [],
    connected: () => link.connected(),
    ready,
    queue: (timeoutMs) => (ready() ? queue.read(timeoutMs) : Promise.resolve(undefined)),
  }
}

/** The read of the queues of all tasks in the registry, and of what the registry says of them. */
class EveryQueue {
  private readonly queues: QueueRead
  private infos = new Map<string, NonNullable<TaskQueue["info"]>>()

  constructor(link: Link) {
    this.queues = new QueueRead({ link }, (roster) => this.namesOf(roster))
  }

  async read(timeoutMs: number): Promise<QueueSnapshot | undefined> {
    const snapshot = await this.queues.read(timeoutMs)
    const informed = snapshot?.tasks.map((queue) => ({ ...queue, info: this.infos.get(queue.task) ?? {} }))
    return snapshot && informed && { ...snapshot, tasks: informed }
  }

  private namesOf({ tasks }: RosterReply): readonly string[] {
    this.infos = new Map(tasks.map(({ name, info }) => [name, infoOf(info)]))
    return [...this.infos.keys()]
  }
}

function infoOf(text: string): NonNullable<TaskQueue["info"]> {
  const { owner, runbook } = parseInfo(text)
  return { ...(typeof owner === "string" && { owner }), ...(typeof runbook === "string" && { runbook }) }
}
