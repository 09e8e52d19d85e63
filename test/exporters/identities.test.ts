import fc from "fast-check"
import { expect, test } from "vitest"
import type { Prometheus } from "../../exporters/prometheus.ts"
import type { Family } from "../support/exposition.ts"
import { aDispatch, anAttempt } from "../support/fake-source.ts"
import { observed, scrape } from "../support/scrape.ts"

/** How a run ends, and whether that ends the job. */
const endings = [
  "completed",
  "retried",
  "failed",
  "revived",
  "cancelled",
  "recovered",
  "stalled",
  "released",
  "removed",
  "open",
] as const
type Ending = (typeof endings)[number]

const finished = { durationMs: 3, totalMs: 9 }
const stall = { task: "t", id: "j", count: 1, headers: {}, recoveryMs: 5, totalMs: 9 }

/** Tells `by` how one run of attempt number `n` ended; a stall is told by another process than ran it. */
function end(ending: Ending, n: number, by: Prometheus, recoverer: Prometheus): void {
  const attempt = anAttempt("t", { attempt: n })
  const failure = { attempt, ...finished, cause: "error", errorType: "Error", error: 0 } as const
  switch (ending) {
    case "completed":
      by.transition({ kind: "completed", attempt, ...finished, resultBytes: 1 })
      break
    case "retried":
      by.transition({ kind: "failed", ...failure, willRetry: true })
      by.transition({ kind: "retrying", attempt, nextAttempt: n + 1, delayMs: 0 })
      break
    case "failed":
      by.transition({ kind: "failed", ...failure, willRetry: false })
      break
    case "revived":
      by.transition({ kind: "failed", ...failure, willRetry: false })
      recoverer.transition({ kind: "revived", task: "t", jobs: [{ id: "j", headers: {} }] })
      break
    case "cancelled":
      by.transition({ kind: "cancelled", attempt, ...finished })
      break
    case "released":
      by.transition({ kind: "released", attempt, durationMs: 3 })
      break
    case "recovered":
    case "stalled":
      recoverer.transition({
        kind: "stalled",
        action: ending === "stalled" ? "failed" : "recovered",
        attempt: n,
        ...stall,
      })
      by.transition({ kind: "lost", attempt, durationMs: 3 })
      break
    case "removed":
      recoverer.transition({
        kind: "removed",
        task: "t",
        id: "j",
        state: "active",
        totalMs: 9,
        attempts: n,
        headers: {},
      })
      by.transition({ kind: "lost", attempt, durationMs: 3 })
      break
    case "open":
      break
  }
}

const terminal = new Set<Ending>(["completed", "failed", "cancelled", "stalled", "removed", "open"])

test("the sums over all processes agree, whatever became of the jobs", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.constantFrom(...endings), { maxLength: 6 })), async (lives) => {
      const processes = [observed(), observed()].map(({ metrics, source }) => {
        source.declare("t")
        return metrics
      })
      const [first, second] = processes as [Prometheus, Prometheus]
      let active = 0
      let there = 0
      for (const [i, life] of lives.entries()) {
        const [by, recoverer] = i % 2 === 0 ? [first, second] : [second, first]
        by.transition({
          kind: "dispatched",
          dispatch: aDispatch("t"),
          stored: 1,
          duplicates: 0,
          payloadBytes: [1],
        })
        for (const [n, ending] of life.entries()) {
          by.transition({ kind: "active", attempt: anAttempt("t", { attempt: n + 1 }) })
          end(ending, n + 1, by, recoverer)
          if (ending === "open") active += 1
          if (terminal.has(ending)) break
        }
        const last = life.findIndex((ending) => terminal.has(ending))
        if (last < 0 || life[last] === "open") there += 1
      }
      const scrapes = await Promise.all(processes.map((metrics) => scrape(metrics)))
      const sum = (series: string, labels: Record<string, string> = {}) => total(scrapes, series, labels)

      expect(sum("taskora_attempts_started_total")).toBe(
        sum("taskora_jobs_completed_total") +
          sum("taskora_attempts_failed_total") +
          sum("taskora_jobs_cancelled_total", { state: "active" }) +
          sum("taskora_jobs_stalled_total", { action: "recovered" }) +
          sum("taskora_attempts_released_total") +
          active,
      )
      expect(sum("taskora_jobs_dispatched_total") + sum("taskora_jobs_revived_total")).toBe(
        sum("taskora_jobs_completed_total") +
          sum("taskora_jobs_failed_total") +
          sum("taskora_jobs_cancelled_total") +
          there,
      )
      expect(sum("taskora_attempts_failed_total", { will_retry: "false" })).toBe(
        sum("taskora_jobs_failed_total"),
      )
      expect(sum("taskora_attempts_failed_total", { will_retry: "true" })).toBe(
        sum("taskora_jobs_retried_total"),
      )

      const durations = (outcome: string) => sum("taskora_job_duration_seconds_count", { outcome })
      expect(durations("completed")).toBe(sum("taskora_jobs_completed_total"))
      expect(durations("retried")).toBe(sum("taskora_jobs_retried_total"))
      expect(durations("failed")).toBe(sum("taskora_jobs_failed_total", { cause: "error" }))
      expect(durations("released")).toBe(sum("taskora_attempts_released_total"))
      expect(durations("lost")).toBe(sum("taskora_leases_lost_total"))
      expect(sum("taskora_job_wait_duration_seconds_count")).toBe(sum("taskora_attempts_started_total"))
      expect(sum("taskora_stall_recovery_duration_seconds_count")).toBe(sum("taskora_jobs_stalled_total"))
      expect(sum("taskora_job_payload_size_bytes_count", { direction: "in" })).toBe(
        sum("taskora_jobs_dispatched_total"),
      )
      expect(sum("taskora_job_payload_size_bytes_count", { direction: "out" })).toBe(
        sum("taskora_jobs_completed_total"),
      )
      for (const outcome of ["completed", "failed", "cancelled"]) {
        const ended = sum(`taskora_jobs_${outcome}_total`)
        expect(sum("taskora_job_total_duration_seconds_count", { outcome })).toBe(ended)
        expect(sum("taskora_job_attempts_count", { outcome })).toBe(ended)
      }
    }),
    { numRuns: 60 },
  )
})

function total(
  scrapes: readonly ReadonlyMap<string, Family>[],
  series: string,
  labels: Readonly<Record<string, string>>,
): number {
  let sum = 0
  for (const sample of scrapes.flatMap((s) => [...s.values()].flatMap((family) => family.samples))) {
    const fits = Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
    if (sample.name === series && fits) sum += sample.value
  }
  return sum
}
