import { payload } from "../harness/load.ts"
import { quantile } from "../harness/statistics.ts"
import { Ledger } from "../harness/wait.ts"
import { both, type Row, type Sample, type Stage, versus } from "../row.ts"

const firstMs = 500
const spreadMs = 3_000
const together = 20

/** How long after it was due each delayed job began. */
async function measure(stage: Stage): Promise<Sample> {
  const total = stage.size(2_000)
  const ledger = new Ledger(total)
  const due = new Float64Array(total)
  const lateness: number[] = []
  const session = await stage.open()
  const queue = session.declare("bench", {
    concurrency: 10,
    async handle(data) {
      lateness.push(performance.now() - due[data.i]!)
      ledger.add(data)
    },
  })
  await session.start()
  let stored: Promise<unknown>[] = []
  for (let i = 0; i < total; i++) {
    // In no order: the due times of neighbours lie far apart.
    const delay = Math.round(firstMs + ((i * 7_919) % total) * (spreadMs / total))
    due[i] = performance.now() + delay
    stored.push(queue.addLater(payload(i), delay))
    // A few at a time: Taskora counts from when the server has the job, BullMQ from the call.
    if (stored.length < together && i < total - 1) continue
    await Promise.all(stored)
    stored = []
  }
  await ledger.complete()
  // Whole ms on both sides: a job may begin a part of one before its time, never more.
  const early = Math.min(...lateness)
  if (early < -2) throw new Error(`a delayed job began ${-early} ms before its time`)
  return { p50: quantile(lateness, 0.5), p99: quantile(lateness, 0.99) }
}

export const delayed: Row = {
  name: "delayed",
  title: "lateness of delayed jobs",
  entries: both,
  measures: [
    { name: "p50", unit: "ms late p50", better: "less" },
    { name: "p99", unit: "ms late p99", better: "less" },
  ],
  compare: [versus("p50"), versus("p99")],
  measure,
}
