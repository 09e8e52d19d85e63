import type { Entry, Row, Sample, Stage } from "../row.ts"
import { processBacklog, processMeasures } from "./process.ts"

const entries: readonly Entry[] = [
  { label: "taskora", contestant: "taskora" },
  { label: "taskora, no SDK", contestant: "taskora", mode: "unregistered" },
  { label: "taskora prometheus", contestant: "taskora", mode: "prometheus" },
  { label: "taskora metrics", contestant: "taskora", mode: "metrics" },
  { label: "taskora 1%", contestant: "taskora", mode: "sampled" },
  { label: "taskora traced", contestant: "taskora", mode: "traced" },
  { label: "bullmq", contestant: "bullmq" },
  { label: "bullmq metrics", contestant: "bullmq", mode: "metrics" },
  { label: "bullmq 1%", contestant: "bullmq", mode: "sampled" },
  { label: "bullmq traced", contestant: "bullmq", mode: "traced" },
]

/** The same backlog with telemetry on. It counts only if each sampled job's process span reached the exporter. */
async function measure(stage: Stage): Promise<Sample> {
  const jobs = 150_000
  const sample = await processBacklog(stage, { jobs, concurrency: 100, singly: true })
  const { mode = "off" } = stage.entry
  if (mode !== "sampled" && mode !== "traced") return sample
  const dispatched = (await stage.spans("send")) + (await stage.spans("add"))
  const processed = await stage.spans("process")
  const expected = mode === "traced" ? stage.size(jobs) : dispatched
  if (dispatched !== expected || processed !== expected)
    throw new Error(
      `${dispatched} spans of dispatches and ${processed} of runs arrived; ${expected} were made`,
    )
  return { ...sample, spans: processed }
}

const share = (of: string, to: string, least?: number) => ({
  measure: "rate",
  of,
  to,
  target: least === undefined ? undefined : { least },
})

export const telemetry: Row = {
  name: "telemetry",
  title:
    "process, concurrency 100, with telemetry (jobs dispatched one by one, each with a trace of its own)",
  entries,
  measures: [...processMeasures, { name: "spans", unit: "process spans", better: "neither" }],
  compare: [
    share("taskora traced", "bullmq", 1.5),
    share("taskora traced", "bullmq traced", 2.3),
    share("taskora 1%", "bullmq 1%"),
    share("taskora metrics", "bullmq metrics"),
    share("taskora, no SDK", "taskora", 0.95),
    share("taskora prometheus", "taskora", 0.92),
    share("taskora metrics", "taskora"),
    share("taskora 1%", "taskora", 0.85),
    share("taskora traced", "taskora", 0.55),
    share("bullmq metrics", "bullmq"),
    share("bullmq 1%", "bullmq"),
    share("bullmq traced", "bullmq"),
  ],
  measure,
}
