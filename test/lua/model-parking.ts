import type { ModelJob } from "./model.ts"

/** Who has a slot of which concurrency key, and who is parked until one is free. */
export class ModelParking {
  /** Keys that the call has to do with, in the order in which it came across them. */
  private touched = new Set<string>()

  constructor(private readonly jobs: ReadonlyMap<string, ModelJob>) {}

  /** Jobs that have a slot: they are active, or wait at the front of their band. */
  holders(key: string): ModelJob[] {
    return [...this.jobs.values()].filter((job) => job.key === key && job.holds)
  }

  /** Parked jobs, of one key or of all, in the order in which they will be let go. */
  parked(key?: string): ModelJob[] {
    const first = (a: ModelJob, b: ModelJob) =>
      Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || ranked(a, b)
    return [...this.jobs.values()]
      .filter((job) => job.state === "parked" && (key === undefined || job.key === key))
      .sort(first)
  }

  /** Whether a new job is parked at once. */
  bars({ key, limit }: ModelJob): boolean {
    return key !== "" && (this.holders(key).length >= limit || this.parked(key).length > 0)
  }

  /** Whether a claim may have a job that waits; else it is parked. */
  admits(job: ModelJob): boolean {
    const { key, limit, holds } = job
    if (key === "") return true
    this.touched.add(key)
    job.holds = false
    const free = limit - this.holders(key).length
    const ahead = this.parked(key).filter((other) => ranked(other, job) < 0).length
    if (free > 0 && (holds || ahead < free)) job.holds = true
    else job.state = "parked"
    return job.holds
  }

  /** A job ends, or leaves its place for the back. */
  leave(job: ModelJob): void {
    const standsApart = job.state === "delayed" || (job.state === "waiting" && job.aside > 0)
    if (job.key !== "" && !standsApart) this.touched.add(job.key)
    job.holds = false
  }

  /** A run comes back to the front, and keeps its slot. */
  stay({ key }: ModelJob): void {
    if (key !== "") this.touched.add(key)
  }

  /** Upkeep looks at every key under which jobs are parked. */
  lookAfter(): void {
    for (const { key } of this.parked()) this.touched.add(key)
  }

  /** The parked jobs that get the slots which are free when a call ends. */
  release(): ModelJob[] {
    const released: ModelJob[] = []
    for (const key of this.touched) {
      let least = Number.POSITIVE_INFINITY
      for (const job of this.parked(key)) {
        least = Math.min(least, job.limit)
        if (this.holders(key).length >= least) break
        Object.assign(job, { state: "waiting", holds: true })
        released.push(job)
      }
    }
    this.touched = new Set()
    return released
  }
}

function ranked(a: ModelJob, b: ModelJob): number {
  return b.priority - a.priority || a.turn - b.turn
}
