const atOnce = 10
const everyMs = 100

/** One run's reports of progress that are not on their way yet, JSON: the first ten each for itself, then the latest. */
export class PendingReports {
  private taken = 0
  private takenAt = Number.NEGATIVE_INFINITY
  private readonly due: string[] = []
  private latest: string | undefined
  private isLatestDue = false

  /** Takes a report. Says in how many ms it falls due; undefined where it took the place of one that waits. */
  add(text: string, now: number): number | undefined {
    if (this.taken < atOnce) {
      this.taken++
      this.takenAt = now
      this.due.push(text)
      return 0
    }
    const waits = this.latest !== undefined
    this.latest = text
    return waits ? undefined : Math.max(0, this.takenAt + everyMs - now)
  }

  /** The latest one has waited long enough. */
  fallDue(): void {
    this.isLatestDue = this.latest !== undefined
  }

  /** Hands out what is due, in order. */
  take(now: number): string[] {
    const reports = this.due.splice(0)
    if (this.isLatestDue) reports.push(this.latest!)
    if (this.isLatestDue) this.latest = undefined
    this.isLatestDue = false
    if (reports.length > 0) this.takenAt = now
    return reports
  }

  /** What must be told before the outcome, in order. */
  get all(): readonly string[] {
    return this.latest === undefined ? this.due : [...this.due, this.latest]
  }

  clear(): void {
    this.due.length = 0
    this.latest = undefined
    this.isLatestDue = false
  }
}
