import type { Gate, Payload, Queue } from "../contestants/contestant.ts"
import { fill, payloads } from "../harness/load.ts"
import { untilCounts } from "../harness/wait.ts"
import type { Entry, Row, Stage } from "../row.ts"

const entries: readonly Entry[] = [
  { label: "plain", contestant: "taskora" },
  { label: "throttle", contestant: "taskora", n: 1 },
  { label: "deduplicate", contestant: "taskora", n: 2 },
]
const gateOf: readonly (Gate | undefined)[] = [undefined, "throttle", "deduplicate"]

interface Kind {
  readonly name: string
  readonly title: string
  readonly jobs: number
  /** How many are under way at a time. */
  readonly width: number
}

const kinds: readonly Kind[] = [
  { name: "gates-1", title: "dispatch under a gate one by one, awaited", jobs: 15_000, width: 1 },
  { name: "gates-1000", title: "dispatch under a gate, 1,000 at a time", jobs: 60_000, width: 1000 },
]

function add(queue: Queue, data: Payload, gate: Gate | undefined): Promise<unknown> {
  if (gate === undefined) return queue.add(data)
  if (!queue.addGated) throw new Error("this contestant has no gates")
  // A hundred users who are throttled; of a deduplication, each job is the first.
  return queue.addGated(data, gate, gate === "throttle" ? `user ${data.i % 100}` : `order ${data.i}`)
}

async function store(
  queue: Queue,
  gate: Gate | undefined,
  range: { from: number; to: number; width: number },
) {
  const { from, to, width } = range
  for (let i = from; i < to; i += width)
    await Promise.all(payloads(i, Math.min(width, to - i)).map((one) => add(queue, one, gate)))
}

async function measure(stage: Stage, { jobs: full, width }: Kind) {
  const jobs = stage.size(full)
  const warm = Math.ceil(jobs / 6)
  const gate = gateOf[stage.entry.n ?? 0]
  const queue = (await stage.open()).declare("bench")
  await fill(queue, 500)
  await store(queue, gate, { from: 0, to: warm, width })
  const before = await stage.meter.spent()
  const start = performance.now()
  await store(queue, gate, { from: warm, to: jobs, width })
  const seconds = (performance.now() - start) / 1000
  const after = await stage.meter.spent()
  await untilCounts(queue, { waiting: jobs + 500 })
  return { rate: (jobs - warm) / seconds, redisUs: (after.cpuUs - before.cpuUs) / (jobs - warm) }
}

const half = (of: string) => ({ measure: "rate", of, to: "plain", target: { least: 0.5 } })

/** What a gate costs a dispatch that it lets in: beside its own work, a place in the fast path. */
export const gates: readonly Row[] = kinds.map((kind) => ({
  name: kind.name,
  title: kind.title,
  entries,
  measures: [
    { name: "rate", unit: "jobs/s", better: "more" },
    { name: "redisUs", unit: "us of Redis per job", better: "less" },
  ],
  compare: [half("throttle"), half("deduplicate")],
  measure: (stage) => measure(stage, kind),
}))
