import { fill, fillSingly } from "../harness/load.ts"
import { Ledger, untilCounts } from "../harness/wait.ts"
import {
  both,
  type Comparison,
  type Entry,
  type Measure,
  type Row,
  type Sample,
  type Stage,
  versus,
} from "../row.ts"

export interface Processing {
  readonly jobs: number
  readonly concurrency: number
  readonly bytes?: number
  /** Each job dispatched by a call of its own, and so traced by itself. */
  readonly singly?: boolean
}

/** Processes a backlog with handlers that do nothing; the first tenth is not timed. */
export async function processBacklog(
  stage: Stage,
  { jobs, concurrency, bytes, singly }: Processing,
): Promise<Sample> {
  const total = stage.size(jobs)
  const warm = Math.ceil(total / 10)
  const ledger = new Ledger(total)
  let started = 0
  let ended = 0
  let cpu = process.cpuUsage()
  const session = await stage.open()
  const queue = session.declare("bench", {
    concurrency,
    async handle(data) {
      ledger.add(data)
      if (ledger.count === warm) {
        started = performance.now()
        cpu = process.cpuUsage()
      } else if (ledger.count === total) {
        ended = performance.now()
        cpu = process.cpuUsage(cpu)
      }
    },
  })
  await (singly ? fillSingly(queue, total) : fill(queue, total, bytes))
  await untilCounts(queue, { waiting: total })
  await stage.spans("send")
  const before = await stage.meter.spent()
  await session.start()
  await ledger.complete()
  await untilCounts(queue, { waiting: 0, active: 0, failed: 0, completed: Math.min(100, total) })
  const after = await stage.meter.spent()
  return {
    rate: (total - warm) / ((ended - started) / 1000),
    redisUs: (after.cpuUs - before.cpuUs) / total,
    commands: (after.commands - before.commands) / total,
    clientUs: (cpu.user + cpu.system) / (total - warm),
  }
}

export const processMeasures: readonly Measure[] = [
  { name: "rate", unit: "jobs/s", better: "more" },
  { name: "redisUs", unit: "us of Redis per job", better: "less" },
  { name: "commands", unit: "Redis commands per job", better: "less" },
  { name: "clientUs", unit: "us of Node per job", better: "less" },
]

function row(
  name: string,
  title: string,
  work: Processing,
  compare: Comparison[],
  entries: readonly Entry[] = both,
): Row {
  return {
    name,
    title,
    entries,
    measures: processMeasures,
    compare,
    measure: (stage) => processBacklog(stage, work),
  }
}

const embedded: readonly Entry[] = [
  { label: "embedded", contestant: "embedded" },
  { label: "bullmq", contestant: "bullmq" },
]

export const processing: readonly Row[] = [
  row("process-1", "process, concurrency 1", { jobs: 10_000, concurrency: 1 }, [
    versus("rate", { least: 1.6 }),
  ]),
  row("process-10", "process, concurrency 10", { jobs: 40_000, concurrency: 10 }, [
    versus("rate", { least: 2 }),
  ]),
  row("process-100", "process, concurrency 100", { jobs: 60_000, concurrency: 100 }, [
    versus("rate", { least: 3 }),
    versus("redisUs", { most: 0.35 }),
    versus("clientUs"),
  ]),
  row(
    "process-100-100b",
    "process 100 B payloads, concurrency 100",
    { jobs: 60_000, concurrency: 100, bytes: 100 },
    [versus("rate")],
  ),
  row(
    "process-100-10kb",
    "process 10 kB payloads, concurrency 100",
    { jobs: 10_000, concurrency: 100, bytes: 10_000 },
    [versus("rate", { least: 1.5 })],
  ),
  row(
    "embedded-10",
    "process on the embedded engine, concurrency 10, beside BullMQ on Redis",
    { jobs: 20_000, concurrency: 10 },
    [{ measure: "rate", of: "embedded", to: "bullmq", target: { least: 0.4 } }],
    embedded,
  ),
]
