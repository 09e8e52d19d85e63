import { counters } from "../../exporters/catalogue/counters.ts"
import { histograms } from "../../exporters/catalogue/histograms.ts"
import { prometheusName } from "../../exporters/catalogue.ts"
import { parseExposition } from "../support/exposition.ts"
import type { Line, Stored } from "./pod.ts"

type Labels = Readonly<Record<string, string>>
/** Values that are not 0, by series; without the constant label. */
export type Series = ReadonlyMap<string, number>

function seriesKey(name: string, labels: Labels): string {
  const { prefix, ...own } = labels
  return `${name}${JSON.stringify(Object.entries(own).sort())}`
}

export class Sums {
  readonly series = new Map<string, number>()

  add(name: string, labels: Labels, amount = 1): void {
    if (amount !== 0) this.addTo(seriesKey(name, labels), amount)
  }

  addTo(key: string, amount: number): void {
    this.series.set(key, (this.series.get(key) ?? 0) + amount)
  }
}

/** Counters and counts of histograms that tell what happened to jobs, added up over all processes. */
export function sumsOf(bodies: readonly string[]): Series {
  const told: string[] = Object.values(counters)
    .filter((instrument) => instrument !== counters.clusterTransitions)
    .map(prometheusName)
  // How often the store was called is nobody's truth.
  const counts = Object.values(histograms)
    .filter((instrument) => instrument !== histograms.storeCall)
    .map((instrument) => `${prometheusName(instrument)}_count`)
  const names = new Set([...told, ...counts])
  const sums = new Sums()
  for (const body of bodies)
    for (const family of parseExposition(body, "text").values())
      for (const { name, labels, value } of family.samples) if (names.has(name)) sums.add(name, labels, value)
  return sums.series
}

/** One family's series of one body. */
export function seriesOf(body: string, family: string): Series {
  const sums = new Sums()
  for (const { name, labels, value } of parseExposition(body, "text").get(family)?.samples ?? [])
    sums.add(name, labels, value)
  return sums.series
}

/** What happened, by the handlers' own record and by what the test asked for; and what metrics must therefore say. */
export class Truth {
  readonly #said = new Sums()
  readonly #cluster = new Sums()

  #cell(task: string, transition: string, amount = 1): void {
    this.#cluster.add("taskora_cluster_transitions_total", { task, transition }, amount)
  }

  dispatched(task: string, jobs: readonly Stored[], willBePromoted: boolean): void {
    const stored = jobs.filter((job) => job.enqueued).length
    this.#said.add("taskora_jobs_dispatched_total", { task }, stored)
    this.#said.add("taskora_job_payload_size_bytes_count", { task, direction: "in" }, stored)
    this.#cell(task, "dispatched", stored)
    if (willBePromoted) this.#cell(task, "promoted", stored)
  }

  rejected(task: string, reason: string): void {
    this.#said.add("taskora_jobs_rejected_total", { task, reason })
  }

  /** A job that was cancelled by somebody who was not running it. */
  removed(task: string, state: "waiting" | "delayed" | "active"): void {
    this.#said.add("taskora_jobs_cancelled_total", { task, state })
    this.#ended(task, "cancelled", state === "active")
    this.#cell(task, `cancelled_${state}`)
  }

  stalled(task: string, action: "recovered" | "failed"): void {
    this.#said.add("taskora_jobs_stalled_total", { task, action })
    this.#said.add("taskora_stall_recovery_duration_seconds_count", {})
    this.#cell(task, `stalled_${action}`)
    if (action === "failed") this.#failedFor(task, "StalledError", "stalled")
  }

  reported(task: string, reports: number): void {
    this.#said.add("taskora_job_progress_reports_total", { task }, reports)
  }

  workers(started: number, closed: number): void {
    this.#said.add("taskora_worker_starts_total", {}, started)
    this.#said.add("taskora_worker_shutdowns_total", {}, closed)
  }

  ran(lines: readonly Line[], attempts: Readonly<Record<string, number>>): void {
    for (const line of lines) this.#line(line, attempts[line.task] ?? 1)
  }

  get sums(): Series {
    return this.#said.series
  }

  get cluster(): Series {
    return this.#cluster.series
  }

  #line({ task, what, of, attempt }: Line, attempts: number): void {
    switch (what) {
      case "event":
        this.#said.add("taskora_events_delivered_total", { task })
        this.#said.add("taskora_events_lag_seconds_count", {})
        return
      case "start":
        this.#said.add("taskora_attempts_started_total", { task })
        this.#said.add("taskora_job_wait_duration_seconds_count", { task })
        this.#cell(task, "started")
        return
      case "return":
        this.#said.add("taskora_jobs_completed_total", { task })
        this.#said.add("taskora_job_payload_size_bytes_count", { task, direction: "out" })
        this.#took(task, "completed")
        this.#ended(task, "completed")
        this.#cell(task, "completed")
        return
      case "throw":
        if (attempt < attempts) this.#retried(task, of)
        else this.#failed(task, of, "error")
        return
      case "abort":
        this.#aborted(task, of)
    }
  }

  #aborted(task: string, of: string): void {
    if (of === "TimeoutError") this.#failed(task, of, "timeout")
    else if (of === "CancelledError") {
      this.#took(task, "cancelled")
      this.removed(task, "active")
    } else if (of === "LeaseLostError") {
      this.#took(task, "lost")
      this.#said.add("taskora_leases_lost_total", { task })
    } else {
      this.#took(task, "released")
      this.#said.add("taskora_attempts_released_total", { task })
      this.#cell(task, "released")
    }
  }

  #retried(task: string, of: string): void {
    this.#said.add("taskora_attempts_failed_total", { task, error_type: of, will_retry: "true" })
    this.#said.add("taskora_jobs_retried_total", { task })
    this.#took(task, "retried")
    for (const transition of ["attempts_failed", "retried", "promoted"]) this.#cell(task, transition)
  }

  #failed(task: string, of: string, cause: string): void {
    this.#took(task, "failed")
    this.#failedFor(task, of, cause)
  }

  #failedFor(task: string, of: string, cause: string): void {
    this.#said.add("taskora_attempts_failed_total", { task, error_type: of, will_retry: "false" })
    this.#said.add("taskora_jobs_failed_total", { task, cause })
    this.#ended(task, "failed")
    for (const transition of ["attempts_failed", "failed"]) this.#cell(task, transition)
  }

  #took(task: string, outcome: string): void {
    this.#said.add("taskora_job_duration_seconds_count", { task, outcome })
  }

  #ended(task: string, outcome: "completed" | "failed" | "cancelled", ran = true): void {
    this.#said.add("taskora_job_total_duration_seconds_count", { task, outcome })
    if (ran) this.#said.add("taskora_job_attempts_count", { task, outcome })
    if (task !== "flaky" || outcome === "cancelled") return
    this.#said.add("taskora_objective_events_total", { task, objective: "success" })
    if (outcome === "failed")
      this.#said.add("taskora_objective_breaches_total", { task, objective: "success" })
  }
}
