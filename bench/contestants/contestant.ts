/** What every job of the bench carries: its number, and padding up to the size that a row asks for. */
export interface Payload {
  readonly i: number
  readonly pad?: string
}

/**
 * off: none. unregistered: OpenTelemetry's observer, and no SDK that it could tell. prometheus: Taskora's own endpoint. metrics: OpenTelemetry metrics. sampled, traced: those, and spans of 1 %
 * or of all jobs.
 */
export type Mode = "off" | "unregistered" | "prometheus" | "metrics" | "sampled" | "traced"

export interface Setting {
  readonly url: string
  readonly mode: Mode
  /** How many completed jobs are kept, the newest. */
  readonly keep: number
}

export interface Work {
  readonly concurrency: number
  handle(data: Payload): Promise<unknown>
}

export interface Counts {
  readonly waiting: number
  readonly delayed: number
  readonly active: number
  readonly completed: number
  readonly failed: number
}

/** Throttles let everything in that the bench stores; deduplications find nothing that exists already. */
export type Gate = "throttle" | "deduplicate"

/** One queue, or task, as both sides have it. */
export interface Queue {
  /** Resolves when the job is stored. */
  add(data: Payload): Promise<unknown>
  /** Stores many by one call of the contestant's. */
  addMany(data: readonly Payload[]): Promise<unknown>
  addLater(data: Payload, delayMs: number): Promise<unknown>
  /** Stores it unless a gate of the contestant's own keeps it back, under a key; where there is such a thing. */
  addGated?(data: Payload, gate: Gate, key: string): Promise<unknown>
  /** Hears of completed jobs of every process; `at`: when it happened, ms of the server's clock. */
  listen(completed: (id: string, at: number) => void): Promise<void>
  counts(): Promise<Counts>
}

/** What one process has of a contestant. */
export interface Session {
  /** Without work, the queue is only filled and listened to. */
  declare(name: string, work?: Work): Queue
  /** Workers of the declared queues begin. */
  start(): Promise<void>
  close(): Promise<void>
}

/** A queue library under the same interface as the others. */
export interface Contestant {
  open(setting: Setting): Promise<Session>
}
