import type { ClaimedJob, LaunchReply } from "../store/replies.ts"

/** A slot of this process that is kept for a job about to be dispatched. */
export interface Seat {
  readonly leaseMs: number
  readonly attempts: number
  /** The job is leased to this process: it begins here. */
  begin(job: ClaimedJob, reply: LaunchReply): void
  /** Gives the slot back, or leaves it to the job that began. */
  end(): void
}
