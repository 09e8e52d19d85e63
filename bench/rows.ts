import type { Row } from "./row.ts"
import { backlog } from "./workloads/backlog.ts"
import { delayed } from "./workloads/delayed.ts"
import { enqueue } from "./workloads/enqueue.ts"
import { events } from "./workloads/events.ts"
import { fairness } from "./workloads/fairness.ts"
import { gates } from "./workloads/gates.ts"
import { latency, latencyApart } from "./workloads/latency.ts"
import { limits } from "./workloads/limits.ts"
import { manyTasks } from "./workloads/many-tasks.ts"
import { memory } from "./workloads/memory.ts"
import { metricsRows } from "./workloads/metrics.ts"
import { processing } from "./workloads/process.ts"
import { telemetry } from "./workloads/telemetry.ts"

/** All rows, in the order in which they run and are shown. */
export const rows: readonly Row[] = [
  limits,
  ...enqueue,
  ...gates,
  ...processing,
  telemetry,
  latency,
  latencyApart,
  delayed,
  events,
  ...memory,
  backlog,
  manyTasks,
  ...metricsRows,
  fairness,
]
