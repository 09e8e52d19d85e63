import { type Duration, durationMs, show } from "../model/duration.ts"
import { type TransitionName, transitionNames } from "../model/observer.ts"
import { checkNames, invalid, wholeNumber } from "../model/options.ts"
import type { StoredState } from "../model/states.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import { storeFailure } from "../store/failure.ts"
import { scripts } from "../store/scripts.ts"
import { decodeEntry, entryTime, unfold } from "../store/stream.ts"
import { type ErrorGroup, groupFailures } from "./groups.ts"
import { type JobInfo, jobInfo } from "./job-info.ts"
import { type MigrationState, migrationsOf } from "./migrations.ts"
import { countTask } from "./queue-read.ts"

export interface TaskStats {
  readonly waiting: number
  readonly delayed: number
  readonly active: number
  /** Waiting for a slot of their concurrency key. */
  readonly parked: number
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
  readonly expired: number
  /** The names of those of the tasks that are paused. */
  readonly paused: readonly string[]
  /** When the oldest job that could run became eligible, ms since the epoch; absent when there is none. */
  readonly oldest?: number
  /** Every transition ever made, by kind. */
  readonly transitions: Readonly<Record<TransitionName, number>>
}

export interface ListOptions {
  readonly task?: string
  /** Default 50, at most 500. */
  readonly limit?: number
  /** What `nextCursor` of the page before was. */
  readonly cursor?: string
}

/** A page of jobs; `nextCursor` is there while more may follow. */
export type JobPage = JobInfo[] & { nextCursor?: string }

export interface WorkerInfo {
  readonly id: string
  readonly host: string
  readonly pid: number
  /** When it started, by its own clock, ms since the epoch. */
  readonly since: number
  readonly tasks: readonly string[]
  readonly slots: number
  /** As of its last sign of life, every ten seconds. */
  readonly busy: number
  /** Schedules that it declares, and fires; absent where it has none. */
  readonly schedules?: readonly string[]
}

/** Looks at queues without changing them. Each call is bounded: pages of at most 500 jobs. */
export class Inspector {
  constructor(
    private readonly core: Core,
    private readonly host: {
      readonly codec: Codec
      /** Connects where that has not happened yet. */
      readonly ready: () => Promise<void>
      readonly tasks: () => readonly string[]
      readonly versions: (task: string) => { readonly version: number; readonly since: number }
    },
  ) {}

  /** Counts per state and transitions, over one task or all of this app's. */
  async stats(options: { readonly task?: string } = {}): Promise<TaskStats> {
    checkNames(options, ["task"], "stats")
    await this.host.ready()
    const tasks = options.task === undefined ? this.host.tasks() : [this.known(options.task)]
    const counts = await Promise.all(tasks.map((task) => ask(() => countTask(this.core, task))))
    const sum = (pick: (count: (typeof counts)[number]) => number) =>
      counts.reduce((all, count) => all + pick(count), 0)
    const oldest = counts.map((count) => count.oldest).filter((at) => at > 0)
    return {
      waiting: sum((count) => count.waiting),
      delayed: sum((count) => count.delayed),
      active: sum((count) => count.active),
      parked: sum((count) => count.parked),
      completed: sum((count) => count.completed),
      failed: sum((count) => count.failed),
      cancelled: sum((count) => count.cancelled),
      expired: sum((count) => count.expired),
      paused: tasks.filter((_, i) => counts[i]!.paused),
      ...(oldest.length > 0 ? { oldest: Math.min(...oldest) } : {}),
      transitions: Object.fromEntries(
        transitionNames.map((name, i) => [name, sum((count) => count.counters[i] ?? 0)]),
      ) as Record<TransitionName, number>,
    }
  }

  /** Looks for a job by its id, in one task or all of this app's. */
  async find(id: string, options: { readonly task?: string } = {}): Promise<JobInfo | undefined> {
    checkNames(options, ["task"], "find")
    await this.host.ready()
    for (const task of options.task === undefined ? this.host.tasks() : [this.known(options.task)]) {
      const job = await this.fetch(task, id)
      if (job) return job
    }
    return undefined
  }

  waiting(options?: ListOptions): Promise<JobPage> {
    return this.list("waiting", options)
  }
  active(options?: ListOptions): Promise<JobPage> {
    return this.list("active", options)
  }
  /** Retrying jobs too. Those that have fallen due wait, whether or not upkeep has moved them. */
  delayed(options?: ListOptions): Promise<JobPage> {
    return this.list("delayed", options)
  }
  /** Those that wait for a slot of their concurrency key, key by key. */
  parked(options?: ListOptions): Promise<JobPage> {
    return this.list("parked", options)
  }
  completed(options?: ListOptions): Promise<JobPage> {
    return this.list("completed", options)
  }
  failed(options?: ListOptions): Promise<JobPage> {
    return this.list("failed", options)
  }
  cancelled(options?: ListOptions): Promise<JobPage> {
    return this.list("cancelled", options)
  }
  expired(options?: ListOptions): Promise<JobPage> {
    return this.list("expired", options)
  }

  /** The versions of a task's jobs, and whether `since` can be raised. Reads each job, a hundred with each call. */
  async migrations(task: string): Promise<MigrationState> {
    const versions = this.host.versions(this.known(task))
    await this.host.ready()
    return ask(() => migrationsOf(this.core.link, task, versions))
  }

  /**
   * Failed jobs that failed alike, the largest group first: by task, class of the error, and message without numbers, ids
   * and quoted texts. Reads all failed jobs that are kept, a page at a time.
   */
  async groups(options: { readonly task?: string } = {}): Promise<ErrorGroup[]> {
    checkNames(options, ["task"], "groups")
    await this.host.ready()
    const groups: ErrorGroup[] = []
    for (const task of options.task === undefined ? this.host.tasks() : [this.known(options.task)])
      groups.push(...(await groupFailures(this.core, task)))
    return groups.sort((a, b) => b.count - a.count || b.lastSeen - a.lastSeen)
  }

  /** All tasks that were ever declared under this prefix, with their info. */
  async tasks(): Promise<{ name: string; owner?: string; runbook?: string }[]> {
    await this.host.ready()
    const { tasks } = await ask(() => this.core.link.run(scripts.roster, this.core.link.shared, {}))
    return tasks
      .map(({ name, info }) => ({ name, ...(JSON.parse(info) as object) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Live worker processes; one that died without a goodbye stays for up to 30 s. */
  async workers(): Promise<WorkerInfo[]> {
    await this.host.ready()
    const { workers } = await ask(() => this.core.link.run(scripts.roster, this.core.link.shared, {}))
    return workers.map((info) => JSON.parse(info) as WorkerInfo)
  }

  /** Jobs that ended within the window (default a minute) and their rate per second, as far as the task's stream reaches back. */
  async throughput(
    task?: string,
    options: { readonly window?: Duration } = {},
  ): Promise<{ completed: number; failed: number; perSecond: number }> {
    checkNames(options, ["window"], "throughput")
    const windowMs = durationMs(options.window ?? "1m", "throughput: window", 1)
    await this.host.ready()
    const counts = { completed: 0, failed: 0 }
    for (const name of task === undefined ? this.host.tasks() : [this.known(task)]) {
      for await (const event of this.eventsSince(name, Math.floor(this.core.link.serverNow() - windowMs))) {
        if (event.name === "completed") counts.completed++
        else if (event.name === "failed" && !event.fields.willRetry) counts.failed++
      }
    }
    return { ...counts, perSecond: (counts.completed + counts.failed) / (windowMs / 1000) }
  }

  /** @internal One job of one task. */
  async fetch(task: string, id: string): Promise<JobInfo | undefined> {
    const { link } = this.core
    const keys = link.keys(task)
    const reply = await ask(() => link.run(scripts.fetch, keys, { base: keys.base, id, parts: "rpl" }))
    return jobInfo(task, id, reply, this.host.codec)
  }

  private async *eventsSince(task: string, since: number) {
    const { link } = this.core
    for (let from = `${since}-0`; ; ) {
      const page = await ask(() => link.run(scripts.entries, link.keys(task), { from, limit: 200 }))
      for (let i = 0; i < page.length; i += 2) {
        const entry = decodeEntry(page[i + 1]!)
        if (entry) yield* unfold(entry, entryTime(page[i]!))
      }
      if (page.length < 400) return
      from = `(${page.at(-2)}`
    }
  }

  private async list(state: StoredState, options: ListOptions = {}): Promise<JobPage> {
    checkNames(options, ["task", "limit", "cursor"], state)
    const limit = wholeNumber(options.limit ?? 50, `${state}: limit`, 1, 500)
    await this.host.ready()
    const tasks = options.task === undefined ? this.host.tasks() : [this.known(options.task)]
    let { at, from } = this.parseCursor(options.cursor, tasks)
    const jobs: JobPage = []
    while (jobs.length < limit && at < tasks.length) {
      const task = tasks[at]!
      const wanted = limit - jobs.length
      const { link } = this.core
      const keys = link.keys(task)
      const ids = await ask(() =>
        link.run(scripts.list, keys, { base: keys.base, state, from, limit: wanted }),
      )
      const found = await Promise.all(ids.map((id) => this.fetch(task, id)))
      // A cancelled job leaves its id in the list of waiting ones for a while.
      jobs.push(...found.filter((job) => job !== undefined && inState(job, state)).map((job) => job!))
      if (ids.length < wanted) {
        at++
        from = 0
      } else {
        from += ids.length
      }
    }
    if (at < tasks.length) jobs.nextCursor = `${tasks[at]}|${from}`
    return jobs
  }

  private parseCursor(cursor: string | undefined, tasks: readonly string[]): { at: number; from: number } {
    if (cursor === undefined) return { at: 0, from: 0 }
    const match = /^(.+)\|(\d+)$/.exec(String(cursor))
    const at = match ? tasks.indexOf(match[1]!) : -1
    if (!match || at < 0) throw invalid(`cursor ${show(cursor)} is none; pass on what nextCursor said`)
    return { at, from: Number(match[2]) }
  }

  private known(task: string): string {
    if (this.host.tasks().includes(task)) return task
    throw invalid(`task ${show(task)} is not declared in this app; declare it with taskora.task(name)`)
  }
}

function inState(job: JobInfo, state: StoredState): boolean {
  return job.state === state || (state === "delayed" && job.state === "retrying")
}

/** @throws ConnectionError, PermissionError or TaskoraError (`STORE`) where the store does not answer */
async function ask<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question()
  } catch (error) {
    throw storeFailure(error)
  }
}
