/**
 * Where a job is. `retrying` is said of a delayed job with a failed attempt; counts list it under `delayed`. `parked`: it
 * waits for a slot of its concurrency key. `expired`: it was not started within its `ttl`.
 */
export type JobState =
  | "waiting"
  | "parked"
  | "delayed"
  | "retrying"
  | "active"
  | "completed"
  | "failed"
  | "cancelled"
  | "expired"

/** The collections that hold jobs, each job being in exactly one. */
export type StoredState = Exclude<JobState, "retrying">

/** The letter that stands for a state at the head of a job's record. */
export const stateLetters: Readonly<Record<string, StoredState>> = {
  w: "waiting",
  // For a worker of a newer version.
  n: "waiting",
  d: "delayed",
  a: "active",
  c: "completed",
  f: "failed",
  x: "cancelled",
  k: "parked",
  e: "expired",
}
