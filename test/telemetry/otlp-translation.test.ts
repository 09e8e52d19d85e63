import { describe, expect, test } from "vitest"
import {
  instruments,
  messagingInstruments,
  prometheusLabel,
  prometheusName,
} from "../../exporters/catalogue.ts"
import { parseExposition } from "../support/exposition.ts"
import {
  type OtlpMetricsRequest,
  type OtlpType,
  translate,
  translateLabel,
  translateName,
} from "../support/otlp-translation.ts"

/** Every row of the catalogue: OpenTelemetry's name, unit and kind, and the name that the documented rules give it. */
const vectors: readonly (readonly [string, string, OtlpType, string])[] = [
  ["taskora.jobs.dispatched", "{job}", "counter", "taskora_jobs_dispatched_total"],
  ["taskora.jobs.rejected", "{job}", "counter", "taskora_jobs_rejected_total"],
  ["taskora.attempts.started", "{attempt}", "counter", "taskora_attempts_started_total"],
  ["taskora.attempts.failed", "{attempt}", "counter", "taskora_attempts_failed_total"],
  ["taskora.attempts.released", "{attempt}", "counter", "taskora_attempts_released_total"],
  ["taskora.jobs.completed", "{job}", "counter", "taskora_jobs_completed_total"],
  ["taskora.jobs.failed", "{job}", "counter", "taskora_jobs_failed_total"],
  ["taskora.jobs.retried", "{job}", "counter", "taskora_jobs_retried_total"],
  ["taskora.jobs.revived", "{job}", "counter", "taskora_jobs_revived_total"],
  ["taskora.jobs.stalled", "{job}", "counter", "taskora_jobs_stalled_total"],
  ["taskora.jobs.expired", "{job}", "counter", "taskora_jobs_expired_total"],
  ["taskora.jobs.cancelled", "{job}", "counter", "taskora_jobs_cancelled_total"],
  ["taskora.job.progress.reports", "{report}", "counter", "taskora_job_progress_reports_total"],
  ["taskora.leases.lost", "{lease}", "counter", "taskora_leases_lost_total"],
  ["taskora.workflows.started", "{workflow}", "counter", "taskora_workflows_started_total"],
  ["taskora.workflows.completed", "{workflow}", "counter", "taskora_workflows_completed_total"],
  ["taskora.workflows.failed", "{workflow}", "counter", "taskora_workflows_failed_total"],
  ["taskora.workflows.cancelled", "{workflow}", "counter", "taskora_workflows_cancelled_total"],
  ["taskora.worker.errors", "{error}", "counter", "taskora_worker_errors_total"],
  ["taskora.worker.starts", "{start}", "counter", "taskora_worker_starts_total"],
  ["taskora.worker.shutdowns", "{shutdown}", "counter", "taskora_worker_shutdowns_total"],
  ["taskora.events.delivered", "{event}", "counter", "taskora_events_delivered_total"],
  ["taskora.events.lost", "{event}", "counter", "taskora_events_lost_total"],
  ["taskora.observer.errors", "{error}", "counter", "taskora_observer_errors_total"],
  ["taskora.series.overflows", "{measurement}", "counter", "taskora_series_overflows_total"],
  ["taskora.objective.events", "{event}", "counter", "taskora_objective_events_total"],
  ["taskora.objective.breaches", "{event}", "counter", "taskora_objective_breaches_total"],
  ["taskora.schedule.missed", "{slot}", "counter", "taskora_schedule_missed_total"],
  ["taskora.schedule.skipped", "{slot}", "counter", "taskora_schedule_skipped_total"],
  ["taskora.cluster.transitions", "{transition}", "counter", "taskora_cluster_transitions_total"],
  ["taskora.objective.target", "1", "gauge", "taskora_objective_target_ratio"],
  ["taskora.objective.threshold", "s", "gauge", "taskora_objective_threshold_seconds"],
  ["taskora.queue.jobs", "{job}", "gauge", "taskora_queue_jobs"],
  ["taskora.task.paused", "", "gauge", "taskora_task_paused"],
  ["taskora.queue.oldest.timestamp", "s", "gauge", "taskora_queue_oldest_timestamp_seconds"],
  ["taskora.worker.slots", "{slot}", "gauge", "taskora_worker_slots"],
  ["taskora.worker.start.timestamp", "s", "gauge", "taskora_worker_start_timestamp_seconds"],
  ["taskora.workers", "{worker}", "gauge", "taskora_workers"],
  ["taskora.task.workers", "{worker}", "gauge", "taskora_task_workers"],
  ["taskora.workflow.active", "{workflow}", "gauge", "taskora_workflow_active"],
  ["taskora.schedule.next.timestamp", "s", "gauge", "taskora_schedule_next_timestamp_seconds"],
  ["taskora.store.up", "", "gauge", "taskora_store_up"],
  ["taskora.task.info", "", "gauge", "taskora_task_info"],
  ["taskora.build.info", "", "gauge", "taskora_build_info"],
  ["taskora.job.duration", "s", "histogram", "taskora_job_duration_seconds"],
  ["taskora.job.wait.duration", "s", "histogram", "taskora_job_wait_duration_seconds"],
  ["taskora.job.total.duration", "s", "histogram", "taskora_job_total_duration_seconds"],
  ["taskora.job.attempts", "{attempt}", "histogram", "taskora_job_attempts"],
  ["taskora.workflow.duration", "s", "histogram", "taskora_workflow_duration_seconds"],
  ["taskora.job.payload.size", "By", "histogram", "taskora_job_payload_size_bytes"],
  ["taskora.store.call.duration", "s", "histogram", "taskora_store_call_duration_seconds"],
  ["taskora.events.lag", "s", "histogram", "taskora_events_lag_seconds"],
  ["taskora.schedule.lateness", "s", "histogram", "taskora_schedule_lateness_seconds"],
  ["taskora.stall.recovery.duration", "s", "histogram", "taskora_stall_recovery_duration_seconds"],
  ["nodejs.eventloop.delay.p50", "s", "gauge", "nodejs_eventloop_delay_p50_seconds"],
  ["nodejs.eventloop.delay.p99", "s", "gauge", "nodejs_eventloop_delay_p99_seconds"],
  ["nodejs.eventloop.utilization", "1", "gauge", "nodejs_eventloop_utilization_ratio"],
  ["v8js.memory.heap.used", "By", "gauge", "v8js_memory_heap_used_bytes"],
  ["v8js.memory.heap.limit", "By", "gauge", "v8js_memory_heap_limit_bytes"],
  ["messaging.client.sent.messages", "{message}", "counter", "messaging_client_sent_messages_total"],
  ["messaging.client.consumed.messages", "{message}", "counter", "messaging_client_consumed_messages_total"],
  ["messaging.client.operation.duration", "s", "histogram", "messaging_client_operation_duration_seconds"],
  ["messaging.process.duration", "s", "histogram", "messaging_process_duration_seconds"],
]

/** What the rules say of names and units that we do not have: a rule of ours alone would not know them. */
const others: readonly (readonly [string, string, OtlpType, string])[] = [
  ["system.disk.io", "By", "counter", "system_disk_io_bytes_total"],
  ["system.network.io.rate", "By/s", "gauge", "system_network_io_rate_bytes_per_second"],
  ["http.server.active_requests", "{request}", "updown", "http_server_active_requests"],
  ["system.cpu.time.seconds", "s", "counter", "system_cpu_time_seconds_total"],
  ["requests.total", "1", "counter", "requests_total"],
  ["cpu.utilization", "1", "gauge", "cpu_utilization_ratio"],
  ["odd..name  with(chars)", "", "gauge", "odd_name_with_chars"],
  ["2xx", "", "gauge", "_2xx"],
]

const all = [...instruments, ...Object.values(messagingInstruments)]

describe("OpenTelemetry's rules for Prometheus", () => {
  test.each([...vectors, ...others])("%s in %s, a %s, is %s", (name, unit, type, expected) => {
    expect(translateName(name, unit, type)).toBe(expected)
  })

  test("there is a vector for each row of the catalogue, and the package knows it by the same name", () => {
    expect(vectors.map(([name, unit, type]) => `${name} ${unit} ${type}`).sort()).toEqual(
      all.map(({ name, unit, kind }) => `${name} ${unit} ${kind}`).sort(),
    )
    const known = new Map(all.map((instrument) => [instrument.name, prometheusName(instrument)]))
    for (const [name, , , expected] of vectors) expect(known.get(name), name).toBe(expected)
  })

  test("labels", () => {
    expect(translateLabel("error.type")).toBe("error_type")
    expect(translateLabel("will_retry")).toBe("will_retry")
    expect(translateLabel("v8js.heap.space.name")).toBe("v8js_heap_space_name")
    expect(translateLabel("1st")).toBe("key_1st")
    for (const { name } of all.flatMap((instrument) => instrument.attributes))
      expect(translateLabel(name)).toBe(prometheusLabel(name))
  })

  test("a request becomes text, with the labels of resource and scope", () => {
    const text = (key: string, stringValue: string) => ({ key, value: { stringValue } })
    const request: OtlpMetricsRequest = {
      resourceMetrics: [
        {
          resource: {
            attributes: [
              text("service.name", "shop"),
              text("service.instance.id", "i-1"),
              text("host.name", "a"),
            ],
          },
          scopeMetrics: [
            {
              scope: { name: "taskora", version: "1.0" },
              metrics: [
                {
                  name: "jobs.done",
                  unit: "{job}",
                  description: "Two\nlines.",
                  sum: {
                    isMonotonic: true,
                    aggregationTemporality: 2,
                    dataPoints: [
                      { attributes: [text("a.b", "1"), text("a_b", 'say "2"')], asInt: "9007199254740991" },
                    ],
                  },
                },
                { name: "level", gauge: { dataPoints: [{ asDouble: -0.5 }] } },
                {
                  name: "took",
                  unit: "s",
                  histogram: {
                    aggregationTemporality: 2,
                    dataPoints: [
                      { count: "6", sum: 7.25, bucketCounts: ["1", "2", "3"], explicitBounds: [0.5, 1] },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
    }
    const scope = 'job="shop",instance="i-1",otel_scope_name="taskora",otel_scope_version="1.0"'
    const body = translate(request)
    expect(body.split("\n")).toEqual([
      "# HELP target_info What the resource says of itself.",
      "# TYPE target_info gauge",
      'target_info{host_name="a",job="shop",instance="i-1"} 1',
      "# HELP jobs_done_total Two\\nlines.",
      "# TYPE jobs_done_total counter",
      `jobs_done_total{${scope},a_b="1;say \\"2\\""} 9007199254740991`,
      "# HELP level ",
      "# TYPE level gauge",
      `level{${scope}} -0.5`,
      "# HELP took_seconds ",
      "# TYPE took_seconds histogram",
      `took_seconds_bucket{${scope},le="0.5"} 1`,
      `took_seconds_bucket{${scope},le="1.0"} 3`,
      `took_seconds_bucket{${scope},le="+Inf"} 6`,
      `took_seconds_sum{${scope}} 7.25`,
      `took_seconds_count{${scope}} 6`,
      "",
    ])
    expect(parseExposition(body, "text").size).toBe(4)
  })

  test("differences between two exports are refused: nobody would add them up", () => {
    const sum = { isMonotonic: true, aggregationTemporality: 1, dataPoints: [] }
    const request = {
      resourceMetrics: [
        {
          resource: { attributes: [] },
          scopeMetrics: [{ scope: { name: "s" }, metrics: [{ name: "n", sum }] }],
        },
      ],
    }
    expect(() => translate(request)).toThrow("temporality 1")
  })
})
