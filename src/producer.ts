import type { Backlog, Pending, Replaced } from "./backlog.ts"
import { dispatchError, notReached, patienceMs } from "./dispatch-errors.ts"
import { answersTo, debounced } from "./gates.ts"
import { Launcher } from "./launcher.ts"
import { within } from "./model/clock.ts"
import { ConnectionError } from "./model/errors.ts"
import { neutrally } from "./model/neutral.ts"
import { tellRemoved } from "./removed.ts"
import type { Core } from "./store/core.ts"
import type { TaskKeys } from "./store/keys.ts"
import { Lane, type Patience } from "./store/lane.ts"
import { scripts } from "./store/scripts.ts"
import type { Seat } from "./worker/seat.ts"

const chunkJobs = 500
const chunkBytes = 1_048_576
const lanes = 4

/**
 * Stores one task's new jobs. Those dispatched before the microtasks of one checkpoint have run go together; at most four
 * calls are under way. One that comes alone may be launched instead.
 */
export class Producer {
  private readonly keys: TaskKeys
  private readonly free: Lane[]
  private queue: Pending[] = []
  private scheduled = false
  private readonly launcher: Launcher

  constructor(
    task: string,
    private readonly around: {
      readonly core: Core
      readonly backlog: Backlog
      /** Undefined when nothing stands in the way of sending. */
      readonly ready: () => Promise<void> | undefined
      readonly seat: () => Seat | undefined
    },
  ) {
    const { core, backlog, seat } = around
    this.keys = core.link.keys(task)
    this.launcher = new Launcher(this.keys, {
      core,
      backlog,
      seat,
      begun: async (job) => {
        const patience = this.patience(job)
        await this.reached(patience)
        return patience
      },
    })
    this.free = Array.from({ length: lanes }, (_, i) => new Lane(core.link, `d${i}`))
  }

  /** The deadline of a job dispatched now. */
  deadline(): number {
    return this.around.core.link.clock.monotonic() + patienceMs
  }

  add(job: Pending): void {
    const { backlog, core } = this.around
    if (!core.link.connected() && backlog.isFull(core.link)) {
      job.refused(
        new ConnectionError(
          `the store is not connected, and ${backlog.jobs} dispatches (${backlog.bytes} bytes) are held already; job ${job.id} was not stored`,
        ),
      )
      return
    }
    backlog.add(job)
    this.queue.push(job)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    neutrally(() => queueMicrotask(() => this.flush()))
  }

  private flush(): void {
    this.scheduled = false
    if (this.queue.length === 1 && this.launcher.launch(this.queue[0]!)) this.queue = []
    while (this.queue.length > 0 && this.free.length > 0) {
      const lane = this.free.pop()!
      void this.send(lane, this.takeChunk())
    }
  }

  private takeChunk(): Pending[] {
    let bytes = 0
    let count = 0
    while (count < this.queue.length && count < chunkJobs) {
      bytes += this.queue[count]!.bytes
      if (count > 0 && bytes > chunkBytes) break
      count++
    }
    if (count < this.queue.length) return this.queue.splice(0, count)
    const all = this.queue
    this.queue = []
    return all
  }

  private async send(lane: Lane, chunk: readonly Pending[]): Promise<void> {
    const { core, backlog } = this.around
    try {
      const patience = this.patience(chunk[0]!)
      await this.reached(patience)
      const rest: string[] = []
      for (const job of chunk) rest.push(job.id, job.options, job.body)
      const reply = await lane.call(scripts.enqueue, this.keys, {}, rest, patience)
      core.link.heard(reply.at)
      const answers = answersTo(chunk, reply)
      chunk.forEach((job, i) => {
        const stored = answers[i]!
        job.stored(stored)
        if (stored.replaced) this.tellReplaced(stored.replaced, reply.at)
      })
    } catch (error) {
      const reason = dispatchError(error, chunk.length, core)
      for (const job of chunk) job.refused(reason)
    } finally {
      this.free.push(lane)
      backlog.remove(chunk)
      if (this.queue.length > 0) this.flush()
    }
  }

  private tellReplaced(replaced: Replaced, at: number): void {
    const { core } = this.around
    tellRemoved(core, { task: this.keys.task, ...replaced, at, state: "delayed", reason: debounced })
  }

  private patience({ deadline }: Pending): Patience & { leftMs(): number } {
    const { clock } = this.around.core.link
    const leftMs = () => deadline - clock.monotonic()
    return { leftMs, ended: () => leftMs() <= 0 }
  }

  /** What must be done before anything is sent. */
  private reached(patience: { leftMs(): number }): Promise<void> | undefined {
    const wait = this.around.ready()
    return wait && within(this.around.core.link.clock, wait, { ms: patience.leftMs(), late: notReached })
  }
}
