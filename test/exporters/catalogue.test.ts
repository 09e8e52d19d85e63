import { describe, expect, test } from "vitest"
import { eventInstruments, instruments, prometheusName, prometheusNames } from "../../exporters/catalogue.ts"
import { appEventNames } from "../../src/model/events.ts"

/** OTel name, unit, kind, attributes, Prometheus name: the contract with every dashboard that exists. */
const golden = `
taskora.jobs.dispatched {job} counter task -> taskora_jobs_dispatched_total
taskora.jobs.rejected {job} counter task,reason -> taskora_jobs_rejected_total
taskora.attempts.started {attempt} counter task -> taskora_attempts_started_total
taskora.attempts.failed {attempt} counter task,error.type,will_retry -> taskora_attempts_failed_total
taskora.attempts.released {attempt} counter task -> taskora_attempts_released_total
taskora.jobs.completed {job} counter task -> taskora_jobs_completed_total
taskora.jobs.failed {job} counter task,cause -> taskora_jobs_failed_total
taskora.jobs.retried {job} counter task -> taskora_jobs_retried_total
taskora.jobs.revived {job} counter task -> taskora_jobs_revived_total
taskora.jobs.stalled {job} counter task,action -> taskora_jobs_stalled_total
taskora.jobs.expired {job} counter task -> taskora_jobs_expired_total
taskora.jobs.cancelled {job} counter task,state -> taskora_jobs_cancelled_total
taskora.job.progress.reports {report} counter task -> taskora_job_progress_reports_total
taskora.leases.lost {lease} counter task -> taskora_leases_lost_total
taskora.workflows.started {workflow} counter  -> taskora_workflows_started_total
taskora.workflows.completed {workflow} counter  -> taskora_workflows_completed_total
taskora.workflows.failed {workflow} counter  -> taskora_workflows_failed_total
taskora.workflows.cancelled {workflow} counter  -> taskora_workflows_cancelled_total
taskora.worker.errors {error} counter kind -> taskora_worker_errors_total
taskora.worker.starts {start} counter  -> taskora_worker_starts_total
taskora.worker.shutdowns {shutdown} counter  -> taskora_worker_shutdowns_total
taskora.events.delivered {event} counter task -> taskora_events_delivered_total
taskora.events.lost {event} counter task -> taskora_events_lost_total
taskora.observer.errors {error} counter observer -> taskora_observer_errors_total
taskora.series.overflows {measurement} counter instrument -> taskora_series_overflows_total
taskora.objective.events {event} counter task,objective -> taskora_objective_events_total
taskora.objective.breaches {event} counter task,objective -> taskora_objective_breaches_total
taskora.schedule.missed {slot} counter schedule -> taskora_schedule_missed_total
taskora.schedule.skipped {slot} counter schedule,reason -> taskora_schedule_skipped_total
taskora.cluster.transitions {transition} counter task,transition -> taskora_cluster_transitions_total
taskora.objective.target 1 gauge task,objective -> taskora_objective_target_ratio
taskora.objective.threshold s gauge task,objective -> taskora_objective_threshold_seconds
taskora.queue.jobs {job} gauge task,state -> taskora_queue_jobs
taskora.task.paused  gauge task -> taskora_task_paused
taskora.queue.oldest.timestamp s gauge task -> taskora_queue_oldest_timestamp_seconds
taskora.worker.slots {slot} gauge task,state -> taskora_worker_slots
taskora.worker.start.timestamp s gauge  -> taskora_worker_start_timestamp_seconds
taskora.workers {worker} gauge  -> taskora_workers
taskora.task.workers {worker} gauge task -> taskora_task_workers
taskora.workflow.active {workflow} gauge  -> taskora_workflow_active
taskora.schedule.next.timestamp s gauge schedule -> taskora_schedule_next_timestamp_seconds
taskora.store.up  gauge  -> taskora_store_up
taskora.task.info  gauge task,owner,runbook -> taskora_task_info
taskora.build.info  gauge version,adapter -> taskora_build_info
taskora.job.duration s histogram task,outcome -> taskora_job_duration_seconds
taskora.job.wait.duration s histogram task -> taskora_job_wait_duration_seconds
taskora.job.total.duration s histogram task,outcome -> taskora_job_total_duration_seconds
taskora.job.attempts {attempt} histogram task,outcome -> taskora_job_attempts
taskora.workflow.duration s histogram outcome -> taskora_workflow_duration_seconds
taskora.job.payload.size By histogram task,direction -> taskora_job_payload_size_bytes
taskora.store.call.duration s histogram script -> taskora_store_call_duration_seconds
taskora.events.lag s histogram  -> taskora_events_lag_seconds
taskora.schedule.lateness s histogram schedule -> taskora_schedule_lateness_seconds
taskora.stall.recovery.duration s histogram  -> taskora_stall_recovery_duration_seconds
nodejs.eventloop.delay.p50 s gauge  -> nodejs_eventloop_delay_p50_seconds
nodejs.eventloop.delay.p99 s gauge  -> nodejs_eventloop_delay_p99_seconds
nodejs.eventloop.utilization 1 gauge  -> nodejs_eventloop_utilization_ratio
v8js.memory.heap.used By gauge v8js.heap.space.name -> v8js_memory_heap_used_bytes
v8js.memory.heap.limit By gauge v8js.heap.space.name -> v8js_memory_heap_limit_bytes
`
  .trim()
  .split("\n")

describe("the catalogue", () => {
  test("names each instrument as its users know it", () => {
    const rows = instruments.map(
      (i) =>
        `${i.name} ${i.unit} ${i.kind} ${i.attributes.map((a) => a.name).join()} -> ${prometheusName(i)}`,
    )
    expect(rows).toEqual(golden)
  })

  test("describes each instrument in a sentence", () => {
    for (const { name, description } of instruments) expect(description, name).toMatch(/^[A-Z0-9].*[^.]\.$/)
  })

  test("gives no two instruments one name", () => {
    expect(new Set(instruments.map((i) => prometheusNames(i).family)).size).toBe(instruments.length)
  })

  test("has an instrument for each of the app's events", () => {
    for (const event of appEventNames) {
      expect(eventInstruments[event], event).not.toHaveLength(0)
      for (const instrument of eventInstruments[event]) expect(instruments).toContain(instrument)
    }
  })

  test("keeps the buckets that recorded histories depend on", () => {
    const buckets = Object.fromEntries(
      instruments.filter((i) => i.buckets).map((i) => [i.name, i.buckets?.join(" ")]),
    )
    expect(buckets["taskora.job.duration"]).toBe(
      "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 60 300 900 3600",
    )
    expect(buckets["taskora.job.attempts"]).toBe("1 2 3 5 10 25")
    expect(buckets["taskora.job.payload.size"]).toBe(
      "256 1024 4096 16384 65536 262144 1048576 4194304 10485760",
    )
  })
})
