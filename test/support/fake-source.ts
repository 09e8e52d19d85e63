import {
  type Attempt,
  type Dispatch,
  type QueueSnapshot,
  type ScheduleFacts,
  type SlotUse,
  type Source,
  type TaskFacts,
  type TaskQueue,
  type TransitionName,
  transitionNames,
} from "../../src/model/observer.ts"

/** A source whose facts a test sets by hand. */
export class FakeSource implements Source {
  readonly instance = "instance-1"
  readonly version = "1.2.3"
  readonly adapter = "memory"
  readonly prefix: string
  readonly clock = { now: () => this.nowMs, monotonic: () => this.monotonicMs }
  nowMs = 1_700_000_100_000
  monotonicMs = 0
  isConnected = true
  isReady = true
  slotUse: SlotUse[] = []
  readonly scheduled: ScheduleFacts[] = []
  /** undefined: the store does not answer. */
  snapshot: QueueSnapshot | undefined = { at: 1_700_000_100_000, tasks: [], workers: 0 }
  /** What each read was willing to wait. */
  readonly waits: number[] = []
  readonly #tasks: TaskFacts[] = []
  readonly #scheduleListeners: ((schedule: string) => void)[] = []
  readonly #listeners: ((task: TaskFacts) => void)[] = []

  constructor(prefix = "") {
    this.prefix = prefix
  }

  declare(name: string, facts: Partial<TaskFacts> = {}): void {
    const task = { name, handled: true, timeoutMs: 30_000, ...facts }
    this.#tasks.push(task)
    for (const listener of this.#listeners) listener(task)
  }

  server() {
    return {}
  }
  tasks() {
    return this.#tasks
  }
  onTask(listener: (task: TaskFacts) => void): void {
    this.#listeners.push(listener)
    for (const task of this.#tasks) listener(task)
  }
  schedules() {
    return this.scheduled
  }
  onSchedule(listener: (schedule: string) => void): void {
    this.#scheduleListeners.push(listener)
    for (const { name } of this.scheduled) listener(name)
  }
  schedule(name: string, nextAt?: number): void {
    this.scheduled.push({ name, ...(nextAt === undefined ? {} : { nextAt }) })
    for (const listener of this.#scheduleListeners) listener(name)
  }
  slots() {
    return this.slotUse
  }
  connected() {
    return this.isConnected
  }
  ready() {
    return this.isReady
  }
  async queue(timeoutMs: number) {
    this.waits.push(timeoutMs)
    return this.snapshot
  }
}

export function anAttempt(task: string, facts: Partial<Attempt> = {}): Attempt {
  return {
    task,
    id: "job-1",
    attempt: 1,
    maxAttempts: 3,
    priority: 0,
    createdAt: 1_700_000_000_000,
    eligibleAt: 1_700_000_000_000,
    claimedAt: 1_700_000_000_020,
    lifeStart: 1_700_000_000_000,
    delayMs: 0,
    waitMs: 20,
    payloadBytes: 100,
    headers: {},
    worker: "instance-1",
    ...facts,
  }
}

export function aDispatch(task: string, facts: Partial<Dispatch> = {}): Dispatch {
  return { task, id: "job-1", count: 1, many: false, delayMs: 0, priority: 0, ...facts }
}

export function aQueue(task: string, facts: Partial<TaskQueue> = {}): TaskQueue {
  const transitions = Object.fromEntries(transitionNames.map((name) => [name, 0])) as Record<
    TransitionName,
    number
  >
  const counts = { waiting: 0, delayed: 0, active: 0, parked: 0, paused: false, oldestAt: 0, workers: 0 }
  return { task, ...counts, transitions, ...facts }
}
