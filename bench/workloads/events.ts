import { quantile } from "../harness/statistics.ts"
import { within } from "../harness/wait.ts"
import { both, type Role, type Row, type Sample, type Stage, versus } from "../row.ts"
import { processBacklog } from "./process.ts"

const jobs = 30_000

interface Heard {
  readonly received: number
  readonly repeated: number
  readonly rate: number
  readonly lagP50: number
  readonly lagP99: number
}

/** Another process that hears of every completed job. */
async function listener(stage: Stage): Promise<Role> {
  const total = stage.size(jobs)
  const ids = new Set<string>()
  const lags: number[] = []
  let first = 0
  let last = 0
  let finish!: () => void
  const all = new Promise<void>((resolve) => {
    finish = resolve
  })
  const queue = (await stage.open()).declare("bench")
  await queue.listen((id, at) => {
    lags.push(Math.max(0, Date.now() - at))
    ids.add(id)
    last = performance.now()
    if (first === 0) first = last
    if (ids.size === total) finish()
  })
  return {
    async heard(): Promise<Heard> {
      await within(all, 20_000)
      return {
        received: ids.size,
        repeated: lags.length - ids.size,
        rate: ids.size / ((last - first) / 1000),
        lagP50: quantile(lags, 0.5),
        lagP99: quantile(lags, 0.99),
      }
    },
  }
}

async function measure(stage: Stage): Promise<Sample> {
  const helper = await stage.helper("listener")
  const { rate } = await processBacklog(stage, { jobs, concurrency: 100 })
  const heard = await helper.ask<Heard>("heard")
  const total = stage.size(jobs)
  if (heard.received !== total || heard.repeated !== 0)
    throw new Error(`${heard.received} of ${total} events arrived, ${heard.repeated} of them again`)
  return {
    rate: rate!,
    received: heard.received,
    heardRate: heard.rate,
    lagP50: heard.lagP50,
    lagP99: heard.lagP99,
  }
}

export const events: Row = {
  name: "events",
  title: "a listener in another process, 30,000 jobs at concurrency 100",
  entries: both,
  measures: [
    { name: "rate", unit: "jobs/s processed", better: "more" },
    { name: "heardRate", unit: "events/s heard", better: "more" },
    { name: "received", unit: "received", better: "neither" },
    { name: "lagP50", unit: "ms lag p50", better: "less" },
    { name: "lagP99", unit: "ms lag p99", better: "less" },
  ],
  compare: [versus("rate", { least: 2.5 }), versus("heardRate")],
  bounds: [{ of: "taskora", measure: "lagP99", limit: { most: 20 } }],
  measure,
  roles: { listener },
}
