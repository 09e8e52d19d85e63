import type { Queue } from "../contestants/contestant.ts"
import { fill, payload, payloads } from "../harness/load.ts"
import { untilCounts } from "../harness/wait.ts"
import { both, type Row, type Stage, versus } from "../row.ts"

interface Kind {
  readonly name: string
  readonly title: string
  readonly jobs: number
  readonly least: number
  /** Stores jobs `from` to `to`. */
  store(queue: Queue, from: number, to: number): Promise<void>
}

async function oneByOne(queue: Queue, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await queue.add(payload(i))
}

async function atATime(queue: Queue, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += 1000)
    await Promise.all(payloads(i, Math.min(1000, to - i)).map((one) => queue.add(one)))
}

function inBulksOf(size: number) {
  return async (queue: Queue, from: number, to: number) => {
    for (let i = from; i < to; i += size) await queue.addMany(payloads(i, Math.min(size, to - i)))
  }
}

const kinds: readonly Kind[] = [
  { name: "enqueue-1", title: "enqueue one by one, awaited", jobs: 15_000, least: 1.4, store: oneByOne },
  { name: "enqueue-1000", title: "enqueue 1,000 at a time", jobs: 60_000, least: 3, store: atATime },
  {
    name: "bulk-50",
    title: "enqueue in bulks of 50, awaited",
    jobs: 60_000,
    least: 3.5,
    store: inBulksOf(50),
  },
  {
    name: "bulk-500",
    title: "enqueue in bulks of 500, awaited",
    jobs: 100_000,
    least: 4.5,
    store: inBulksOf(500),
  },
]

async function measure(stage: Stage, kind: Kind) {
  const jobs = stage.size(kind.jobs)
  const warm = Math.ceil(jobs / 6)
  const queue = (await stage.open()).declare("bench")
  // Long enough that a queue's first jobs, and code that is not compiled yet, play no part.
  await fill(queue, 500)
  await kind.store(queue, 0, warm)
  const before = await stage.meter.spent()
  const start = performance.now()
  await kind.store(queue, warm, jobs)
  const seconds = (performance.now() - start) / 1000
  const after = await stage.meter.spent()
  await untilCounts(queue, { waiting: jobs + 500 })
  return { rate: (jobs - warm) / seconds, redisUs: (after.cpuUs - before.cpuUs) / (jobs - warm) }
}

export const enqueue: readonly Row[] = kinds.map((kind) => ({
  name: kind.name,
  title: kind.title,
  entries: both,
  measures: [
    { name: "rate", unit: "jobs/s", better: "more" },
    { name: "redisUs", unit: "us of Redis per job", better: "less" },
  ],
  compare: [versus("rate", { least: kind.least })],
  measure: (stage) => measure(stage, kind),
}))
