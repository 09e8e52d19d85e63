import { type App, EventsLostError, type JobHandle } from "../../src/index.ts"
import type { Tally } from "./tally.ts"

/** The jobs that this run dispatched and that have not ended yet, kept by the events. */
export class OpenJobs {
  private readonly open = new Set<string>()
  private complete = false
  private finish: () => void = () => {}
  /** Resolves when all jobs have ended, after `seal()`. */
  readonly finished = new Promise<void>((resolve) => {
    this.finish = resolve
  })

  constructor(
    private readonly taskora: App,
    private readonly tally: Tally,
    private readonly onRejected: (error: Error) => void,
  ) {
    taskora.on("task:completed", ({ task, id }) => this.ended(task, id))
    taskora.on("task:cancelled", ({ task, id }) => this.ended(task, id))
    taskora.on("task:failed", ({ task, id, willRetry }) => {
      if (!willRetry) this.ended(task, id)
    })
    taskora.on("worker:error", (error) => {
      if (error instanceof EventsLostError) this.watchStore()
    })
  }

  get size(): number {
    return this.open.size
  }

  /** Follows a dispatched job. Resolves when it is stored, or could not be. */
  async add(task: string, job: JobHandle<unknown>): Promise<void> {
    this.open.add(key(task, job.id))
    try {
      await job
      // False where a job of this id was there already.
      if (job.enqueued) this.tally.dispatched++
    } catch (error) {
      this.tally.rejected++
      this.onRejected(error as Error)
      this.ended(task, job.id)
    }
  }

  /** No more jobs will be added. */
  seal(): void {
    this.complete = true
    this.check()
  }

  private ended(task: string, id: string): void {
    this.open.delete(key(task, id))
    this.check()
  }

  private check(): void {
    if (this.complete && this.open.size === 0) this.finish()
  }

  /** Where events were lost, nobody will tell of some jobs' ends: the queue's own numbers decide. */
  private watchStore(): void {
    setInterval(async () => {
      const { waiting, delayed, active } = await this.taskora.inspect().stats()
      if (this.complete && waiting + delayed + active === 0) this.finish()
    }, 1000).unref()
  }
}

function key(task: string, id: string): string {
  return `${task} ${id}`
}
