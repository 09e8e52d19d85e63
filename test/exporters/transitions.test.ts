import { describe, expect, test } from "vitest"
import type { Transition } from "../../src/model/observer.ts"
import { seriesValue } from "../support/exposition.ts"
import { aDispatch, anAttempt } from "../support/fake-source.ts"
import { nonZero, observed, scrape } from "../support/scrape.ts"

const attempt = anAttempt("t", { attempt: 2, waitMs: 20 })
const headers = {}

/** Each transition, and all that it changes. */
const mapping: Record<string, readonly [Transition, readonly string[]]> = {
  dispatched: [
    {
      kind: "dispatched",
      dispatch: aDispatch("t", { count: 3, many: true }),
      stored: 2,
      duplicates: 1,
      payloadBytes: [100, 300],
    },
    [
      "taskora_jobs_dispatched_total{task=t} 2",
      "taskora_jobs_rejected_total{task=t,reason=duplicate} 1",
      "taskora_job_payload_size_bytes_sum{task=t,direction=in} 400",
      "taskora_job_payload_size_bytes_count{task=t,direction=in} 2",
    ],
  ],
  "dispatched, a duplicate": [
    { kind: "dispatched", dispatch: aDispatch("t"), stored: 0, duplicates: 1, payloadBytes: [] },
    ["taskora_jobs_rejected_total{task=t,reason=duplicate} 1"],
  ],
  "dispatched, held back and replacing": [
    {
      kind: "dispatched",
      dispatch: aDispatch("t", { count: 9, many: true }),
      stored: 4,
      duplicates: 0,
      throttled: 5,
      replaced: 3,
      payloadBytes: [],
    },
    [
      "taskora_jobs_dispatched_total{task=t} 4",
      "taskora_jobs_rejected_total{task=t,reason=throttled} 5",
      "taskora_jobs_rejected_total{task=t,reason=debounced} 3",
    ],
  ],
  rejected: [
    {
      kind: "rejected",
      dispatch: aDispatch("t", { count: 3, many: true }),
      count: 3,
      reason: "too_large",
      error: new Error("no"),
    },
    ["taskora_jobs_rejected_total{task=t,reason=too_large} 3"],
  ],
  active: [
    { kind: "active", attempt },
    [
      "taskora_attempts_started_total{task=t} 1",
      "taskora_job_wait_duration_seconds_sum{task=t} 0.02",
      "taskora_job_wait_duration_seconds_count{task=t} 1",
    ],
  ],
  progress: [{ kind: "progress", attempt, progress: 50 }, ["taskora_job_progress_reports_total{task=t} 1"]],
  completed: [
    { kind: "completed", attempt, durationMs: 12.5, totalMs: 60, resultBytes: 7 },
    [
      "taskora_jobs_completed_total{task=t} 1",
      "taskora_job_duration_seconds_sum{task=t,outcome=completed} 0.0125",
      "taskora_job_duration_seconds_count{task=t,outcome=completed} 1",
      "taskora_job_total_duration_seconds_sum{task=t,outcome=completed} 0.06",
      "taskora_job_total_duration_seconds_count{task=t,outcome=completed} 1",
      "taskora_job_attempts_sum{task=t,outcome=completed} 2",
      "taskora_job_attempts_count{task=t,outcome=completed} 1",
      "taskora_job_payload_size_bytes_sum{task=t,direction=out} 7",
      "taskora_job_payload_size_bytes_count{task=t,direction=out} 1",
    ],
  ],
  "failed, will retry": [
    {
      kind: "failed",
      attempt,
      durationMs: 10,
      cause: "error",
      errorType: "RangeError",
      error: 0,
      willRetry: true,
      delayMs: 5,
    },
    [
      "taskora_attempts_failed_total{task=t,error_type=RangeError,will_retry=true} 1",
      "taskora_job_duration_seconds_sum{task=t,outcome=retried} 0.01",
      "taskora_job_duration_seconds_count{task=t,outcome=retried} 1",
    ],
  ],
  "failed for good": [
    {
      kind: "failed",
      attempt,
      durationMs: 10,
      cause: "timeout",
      errorType: "TimeoutError",
      error: 0,
      willRetry: false,
      totalMs: 80,
    },
    [
      "taskora_attempts_failed_total{task=t,error_type=TimeoutError,will_retry=false} 1",
      "taskora_jobs_failed_total{task=t,cause=timeout} 1",
      "taskora_job_duration_seconds_sum{task=t,outcome=failed} 0.01",
      "taskora_job_duration_seconds_count{task=t,outcome=failed} 1",
      "taskora_job_total_duration_seconds_sum{task=t,outcome=failed} 0.08",
      "taskora_job_total_duration_seconds_count{task=t,outcome=failed} 1",
      "taskora_job_attempts_sum{task=t,outcome=failed} 2",
      "taskora_job_attempts_count{task=t,outcome=failed} 1",
    ],
  ],
  retrying: [
    { kind: "retrying", attempt, nextAttempt: 3, delayMs: 5 },
    ["taskora_jobs_retried_total{task=t} 1"],
  ],
  cancelled: [
    { kind: "cancelled", attempt, durationMs: 10, totalMs: 80 },
    [
      "taskora_jobs_cancelled_total{task=t,state=active} 1",
      "taskora_job_duration_seconds_sum{task=t,outcome=cancelled} 0.01",
      "taskora_job_duration_seconds_count{task=t,outcome=cancelled} 1",
      "taskora_job_total_duration_seconds_sum{task=t,outcome=cancelled} 0.08",
      "taskora_job_total_duration_seconds_count{task=t,outcome=cancelled} 1",
      "taskora_job_attempts_sum{task=t,outcome=cancelled} 2",
      "taskora_job_attempts_count{task=t,outcome=cancelled} 1",
    ],
  ],
  released: [
    { kind: "released", attempt, durationMs: 10 },
    [
      "taskora_attempts_released_total{task=t} 1",
      "taskora_job_duration_seconds_sum{task=t,outcome=released} 0.01",
      "taskora_job_duration_seconds_count{task=t,outcome=released} 1",
    ],
  ],
  lost: [
    { kind: "lost", attempt, durationMs: 10 },
    [
      "taskora_leases_lost_total{task=t} 1",
      "taskora_job_duration_seconds_sum{task=t,outcome=lost} 0.01",
      "taskora_job_duration_seconds_count{task=t,outcome=lost} 1",
    ],
  ],
  "removed, never started": [
    { kind: "removed", task: "t", id: "j", state: "delayed", totalMs: 80, attempts: 0, headers },
    [
      "taskora_jobs_cancelled_total{task=t,state=delayed} 1",
      "taskora_job_total_duration_seconds_sum{task=t,outcome=cancelled} 0.08",
      "taskora_job_total_duration_seconds_count{task=t,outcome=cancelled} 1",
    ],
  ],
  "removed by recovery": [
    { kind: "removed", task: "t", id: "j", state: "active", totalMs: 80, attempts: 1, headers },
    [
      "taskora_jobs_cancelled_total{task=t,state=active} 1",
      "taskora_job_total_duration_seconds_sum{task=t,outcome=cancelled} 0.08",
      "taskora_job_total_duration_seconds_count{task=t,outcome=cancelled} 1",
      "taskora_job_attempts_sum{task=t,outcome=cancelled} 1",
      "taskora_job_attempts_count{task=t,outcome=cancelled} 1",
    ],
  ],
  "stalled, recovered": [
    {
      kind: "stalled",
      task: "t",
      id: "j",
      action: "recovered",
      count: 1,
      attempt: 1,
      headers,
      recoveryMs: 500,
      totalMs: 80,
    },
    [
      "taskora_jobs_stalled_total{task=t,action=recovered} 1",
      "taskora_stall_recovery_duration_seconds_sum{} 0.5",
      "taskora_stall_recovery_duration_seconds_count{} 1",
    ],
  ],
  "stalled, failed": [
    {
      kind: "stalled",
      task: "t",
      id: "j",
      action: "failed",
      count: 2,
      attempt: 2,
      headers,
      recoveryMs: 500,
      totalMs: 80,
    },
    [
      "taskora_attempts_failed_total{task=t,error_type=StalledError,will_retry=false} 1",
      "taskora_jobs_failed_total{task=t,cause=stalled} 1",
      "taskora_jobs_stalled_total{task=t,action=failed} 1",
      "taskora_job_total_duration_seconds_sum{task=t,outcome=failed} 0.08",
      "taskora_job_total_duration_seconds_count{task=t,outcome=failed} 1",
      "taskora_job_attempts_sum{task=t,outcome=failed} 2",
      "taskora_job_attempts_count{task=t,outcome=failed} 1",
      "taskora_stall_recovery_duration_seconds_sum{} 0.5",
      "taskora_stall_recovery_duration_seconds_count{} 1",
    ],
  ],
  revived: [
    {
      kind: "revived",
      task: "t",
      jobs: [
        { id: "j", headers },
        { id: "k", headers },
      ],
    },
    ["taskora_jobs_revived_total{task=t} 2"],
  ],
  expired: [
    { kind: "expired", task: "t", id: "j", discarded: false, totalMs: 80, attempts: 1, headers },
    [
      "taskora_jobs_expired_total{task=t} 1",
      "taskora_jobs_failed_total{task=t,cause=expired} 1",
      "taskora_job_total_duration_seconds_sum{task=t,outcome=failed} 0.08",
      "taskora_job_total_duration_seconds_count{task=t,outcome=failed} 1",
      "taskora_job_attempts_sum{task=t,outcome=failed} 1",
      "taskora_job_attempts_count{task=t,outcome=failed} 1",
    ],
  ],
  "expired, discarded": [
    { kind: "expired", task: "t", id: "j", discarded: true, totalMs: 80, attempts: 0, headers },
    ["taskora_jobs_expired_total{task=t} 1"],
  ],
  "cancel requested": [{ kind: "cancel requested", task: "t", id: "j", headers }, []],
  "worker ready": [
    { kind: "worker ready", tasks: ["t"] },
    ["taskora_worker_starts_total{} 1", "taskora_worker_start_timestamp_seconds{} 1700000100"],
  ],
  "worker closing": [{ kind: "worker closing" }, ["taskora_worker_shutdowns_total{} 1"]],
  "worker closed": [{ kind: "worker closed" }, []],
  "worker error": [
    { kind: "worker error", error: new Error("x"), errorKind: "events_lost" },
    ["taskora_worker_errors_total{kind=events_lost} 1"],
  ],
  delivered: [
    { kind: "delivered", task: "t", count: 3, lagMs: 2 },
    [
      "taskora_events_delivered_total{task=t} 3",
      "taskora_events_lag_seconds_sum{} 0.006",
      "taskora_events_lag_seconds_count{} 3",
    ],
  ],
  "events lost": [{ kind: "events lost", task: "t", lost: 9 }, ["taskora_events_lost_total{task=t} 9"]],
  "observer error": [
    { kind: "observer error", observer: "prometheus" },
    ["taskora_observer_errors_total{observer=prometheus} 1"],
  ],
  log: [{ kind: "log", attempt, level: "info", message: "hello" }, []],
}

describe("a transition", () => {
  for (const [title, [transition, expected]] of Object.entries(mapping)) {
    test(`${title} measures what it says and nothing else`, async () => {
      const { metrics, source } = observed()
      source.declare("t")
      const before = new Set(nonZero(await scrape(metrics)))
      metrics.transition(transition)
      const after = nonZero(await scrape(metrics)).filter((line) => !before.has(line))
      expect(after.sort()).toEqual([...expected].sort())
    })
  }

  test("of a time that cannot be counts as 0", async () => {
    const { metrics } = observed()
    for (const waitMs of [-5, Number.NaN, Infinity]) {
      metrics.transition({ kind: "active", attempt: anAttempt("t", { waitMs }) })
    }
    const waits = nonZero(await scrape(metrics)).filter((line) => line.includes("wait"))
    expect(waits).toEqual(["taskora_job_wait_duration_seconds_count{task=t} 3"])
  })

  test("on a bound belongs below it", async () => {
    const { metrics } = observed()
    metrics.transition({ kind: "active", attempt: anAttempt("t", { waitMs: 25 }) })
    const labels = (le: string) => ({ task: "t", le })
    const families = await scrape(metrics)
    const below = (le: string) =>
      seriesValue(families, "taskora_job_wait_duration_seconds_bucket", labels(le))
    expect([below("0.01"), below("0.025")]).toEqual([0, 1])
  })
})
