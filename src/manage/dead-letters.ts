import { show } from "../model/duration.ts"
import { checkNames, invalid, wholeNumber } from "../model/options.ts"
import type { Core } from "../store/core.ts"
import { decodeHeaders } from "../store/headers.ts"
import type { Failure, Revived } from "../store/letter-replies.ts"
import { scripts } from "../store/scripts.ts"
import { Turns } from "../store/turns.ts"
import { type ErrorFilter, errorMatcher } from "./errors-alike.ts"
import { failuresAtOnce, readFailures } from "./failures.ts"
import type { Inspector } from "./inspector.ts"
import type { JobInfo } from "./job-info.ts"
import { patienceMs, writeFailure } from "./write-failure.ts"

export interface DeadLetterFilter {
  /** Default: all tasks of this app. */
  readonly task?: string
  /** The class name of the error, or a group's `error` as `inspect().groups()` tells it. Default: whatever it was. */
  readonly error?: ErrorFilter
}

export interface DeadLetterListOptions extends DeadLetterFilter {
  /** Default 50, at most 500. */
  readonly limit?: number
  /** What `nextCursor` of the page before was. */
  readonly cursor?: string
}

/** A page of failed jobs, the newest of each task first; `nextCursor` is there while more may follow. */
export type DeadLetterPage = JobInfo[] & { nextCursor?: string }

export interface Retried {
  /** Jobs that were given another life. */
  readonly retried: number
  /** The same by task; tasks of which none were retried are missing. */
  readonly tasks: Readonly<Record<string, number>>
}

export type RetryAnswer = "retried" | "not failed" | "unknown"
export type DiscardAnswer = "discarded" | "not failed" | "unknown"

/** How many failed jobs a call of `list()` looks at, at the most, where few of them fit its filter. */
const mostLooks = 2000

/** Jobs that failed for good, as far as retention keeps them. */
export class DeadLetters {
  private readonly turns: Turns

  /** @internal */
  constructor(
    private readonly core: Core,
    private readonly host: {
      readonly ready: () => Promise<void>
      readonly tasks: () => readonly string[]
      readonly inspector: Pick<Inspector, "fetch">
    },
  ) {
    this.turns = new Turns(core.link, "v", patienceMs)
  }

  /**
   * Lists failed jobs. A page may be shorter than `limit`, or empty, while `nextCursor` says that more may follow: each call
   * looks at a bounded number of jobs. Pages neither repeat nor skip a job, also while jobs fail or are retried.
   * @throws TaskoraError (`INVALID`) for options that are wrong
   */
  async list(options: DeadLetterListOptions = {}): Promise<DeadLetterPage> {
    checkNames(options, ["task", "error", "limit", "cursor"], "deadLetters.list")
    const limit = wholeNumber(options.limit ?? 50, "deadLetters.list: limit", 1, 500)
    const matches = errorMatcher(options.error, "deadLetters.list")
    const tasks = this.tasksOf(options.task)
    let { at, after } = parseCursor(options.cursor, tasks)
    await this.host.ready()
    const jobs: DeadLetterPage = []
    let looks = 0
    while (at < tasks.length && jobs.length < limit && looks < mostLooks) {
      const task = tasks[at]!
      const page = await readFailures(this.core, task, { way: "newest", after })
      const fitting = page.filter(({ outcome }) => matches(outcome))
      const wanted = fitting.slice(0, limit - jobs.length)
      const found = await Promise.all(wanted.map(({ id }) => this.host.inspector.fetch(task, id)))
      // Some may have been retried or trimmed meanwhile.
      for (const job of found) if (job?.state === "failed") jobs.push(job)
      looks += page.length
      after = (wanted.length < fitting.length ? wanted : page).at(-1)?.seq
      if (page.length === 0) at++
    }
    if (at < tasks.length) jobs.nextCursor = `${tasks[at]}|${after ?? ""}`
    return jobs
  }

  /**
   * Gives a failed job another life: its attempts begin at 1, its stalls are forgotten, and it waits at the back of its
   * band, whatever became of its `ttl`. Its log and its trace go on.
   * @throws TaskoraError (`INVALID`) where failed jobs of several tasks have this id, and `task` is not given
   * @throws ConnectionError, UnconfirmedError where the store did not answer within five seconds
   */
  async retry(id: string, options: { readonly task?: string } = {}): Promise<RetryAnswer> {
    const found = await this.locate(id, options, "retry")
    if (typeof found === "string") return found
    const [word] = await this.revive(found.task, [found])
    return word === "r" ? "retried" : "not failed"
  }

  /**
   * Retries every failed job that fits, in batches, those that failed first before the others. Jobs that fail (again) after
   * the call are left alone. What was retried before an error is retried.
   */
  async retryAll(filter: DeadLetterFilter = {}): Promise<Retried> {
    checkNames(filter, ["task", "error"], "deadLetters.retryAll")
    const matches = errorMatcher(filter.error, "deadLetters.retryAll")
    const tasks = this.tasksOf(filter.task)
    await this.host.ready()
    const counts: Record<string, number> = {}
    for (const task of tasks) {
      const retried = await this.retryTask(task, matches)
      if (retried > 0) counts[task] = retried
    }
    return { retried: Object.values(counts).reduce((sum, n) => sum + n, 0), tasks: counts }
  }

  /**
   * Forgets a failed job.
   * @throws TaskoraError (`INVALID`) where failed jobs of several tasks have this id, and `task` is not given
   * @throws ConnectionError, UnconfirmedError where the store did not answer within five seconds
   */
  async discard(id: string, options: { readonly task?: string } = {}): Promise<DiscardAnswer> {
    const found = await this.locate(id, options, "discard")
    if (typeof found === "string") return found
    const keys = this.core.link.keys(found.task)
    const { words } = await this.turns
      .take(found.task, (lane, patience) =>
        lane.call(scripts.discard, keys, {}, [found.id, found.finished], patience),
      )
      .catch((error: unknown) => {
        throw writeFailure(error, `job ${id} was`, "discarded")
      })
    return words === "d" ? "discarded" : "not failed"
  }

  private async retryTask(task: string, matches: (outcome: string) => boolean): Promise<number> {
    const [newest] = await readFailures(this.core, task, { way: "newest", after: undefined, limit: 1 })
    let retried = 0
    for (let after: number | undefined; newest; ) {
      const page = await readFailures(this.core, task, { way: "oldest", after })
      const then = page.filter(({ seq }) => seq <= newest.seq)
      const words = await this.revive(
        task,
        then.filter(({ outcome }) => matches(outcome)),
      )
      retried += words.filter((word) => word === "r").length
      if (then.length < page.length || page.length === 0) break
      after = page.at(-1)!.seq
    }
    return retried
  }

  /** One batch, of `failuresAtOnce` jobs at the most; a letter for each. */
  private async revive(
    task: string,
    jobs: readonly Pick<Failure, "id" | "finished">[],
  ): Promise<readonly string[]> {
    if (jobs.length === 0) return []
    const { link, events } = this.core
    const keys = link.keys(task)
    const args = { instance: link.instance, maxlen: events.maxLength }
    const rest = jobs.flatMap(({ id, finished }) => [id, finished])
    const { words, revived } = await this.turns
      .take(task, (lane, patience) => lane.call(scripts.revive, keys, args, rest, patience))
      .catch((error: unknown) => {
        throw writeFailure(
          error,
          jobs.length === 1 ? `job ${jobs[0]!.id} was` : `${jobs.length} jobs were`,
          "retried",
        )
      })
    const lettered = jobs.map(({ id }, i) => ({ id, word: words[i]! }))
    this.tell(
      task,
      lettered.filter(({ word }) => word === "r").map(({ id }, i) => ({ id, ...revived[i]! })),
    )
    return lettered.map(({ word }) => word)
  }

  private tell(task: string, revived: readonly (Revived & { readonly id: string })[]): void {
    const { observers } = this.core
    if (!observers.watched || revived.length === 0) return
    const jobs = revived.map(({ id, run, headers }) => ({
      id,
      headers: decodeHeaders(headers).headers,
      ...(run === "" ? {} : { previousRun: run }),
    }))
    observers.transition({ kind: "revived", task, jobs })
  }

  /** The failed job with this id, and when it failed. */
  private async locate(
    id: string,
    options: { readonly task?: string },
    what: "retry" | "discard",
  ): Promise<{ task: string; id: string; finished: number } | "not failed" | "unknown"> {
    checkNames(options, ["task"], `deadLetters.${what}`)
    if (typeof id !== "string" || id === "")
      throw invalid(`deadLetters.${what}: the id must be a job's, not ${show(id)}`)
    const tasks = this.tasksOf(options.task)
    await this.host.ready()
    const found: JobInfo[] = []
    for (let i = 0; i < tasks.length; i += failuresAtOnce) {
      const some = await Promise.all(
        tasks.slice(i, i + failuresAtOnce).map((task) => this.host.inspector.fetch(task, id)),
      )
      found.push(...some.filter((job) => job !== undefined))
    }
    const failed = found.filter(({ state }) => state === "failed")
    const [job, other] = failed
    if (other) {
      const names = failed.map(({ task }) => `"${task}"`).join(", ")
      throw invalid(
        `deadLetters.${what}: failed jobs of the tasks ${names} have the id "${id}"; say which by { task }`,
      )
    }
    if (job) return { task: job.task, id, finished: job.finishedAt! }
    return found.length > 0 ? "not failed" : "unknown"
  }

  private tasksOf(task: string | undefined): readonly string[] {
    const declared = this.host.tasks()
    if (task === undefined) return declared
    if (declared.includes(task)) return [task]
    throw invalid(`task ${show(task)} is not declared in this app; declare it with taskora.task(name)`)
  }
}

function parseCursor(
  cursor: string | undefined,
  tasks: readonly string[],
): { at: number; after: number | undefined } {
  if (cursor === undefined) return { at: 0, after: undefined }
  const match = /^(.+)\|(\d*)$/.exec(String(cursor))
  const at = match ? tasks.indexOf(match[1]!) : -1
  if (!match || at < 0)
    throw invalid(
      `deadLetters.list: cursor ${show(cursor)} is none of these tasks; pass on what nextCursor said`,
    )
  return { at, after: match[2] === "" ? undefined : Number(match[2]) }
}
