import { fill } from "../harness/load.ts"
import { median } from "../harness/statistics.ts"
import type { Row, Sample, Stage } from "../row.ts"

const phases = 5
const claimedEach = 800
const entries = [
  { label: "1,000 waiting", contestant: "taskora", n: 1_000 },
  { label: "1,000,000 waiting", contestant: "taskora", n: 1_000_000 },
] as const

/** What a claim costs inside Redis, with few and with many jobs waiting. */
async function measure(stage: Stage): Promise<Sample> {
  const backlog = stage.size(stage.entry.n!)
  const filler = (await stage.open()).declare("bench")
  await fill(filler, backlog)
  const times: number[] = []
  for (let phase = 0; phase < phases; phase++) {
    await stage.meter.watchScripts()
    const handled = await claimSome(stage, Math.min(claimedEach, backlog * 0.8))
    for (const { us } of await stage.meter.scriptCalls()) times.push(us)
    await stage.meter.unwatchScripts()
    await fill(filler, handled)
  }
  return { scriptUs: median(times), calls: times.length }
}

/** Works until so many were handled; how many it was when the worker had stopped. */
async function claimSome(stage: Stage, most: number): Promise<number> {
  let handled = 0
  let finish!: () => void
  const enough = new Promise<void>((resolve) => {
    finish = resolve
  })
  const session = await stage.open()
  session.declare("bench", {
    concurrency: 10,
    async handle() {
      if (++handled >= most) finish()
    },
  })
  await session.start()
  await enough
  await session.close()
  return handled
}

export const backlog: Row = {
  name: "backlog",
  title: "cost of settling 10 jobs and claiming 10 more, by the jobs that wait",
  entries,
  rounds: 3,
  measures: [
    { name: "scriptUs", unit: "us of Redis per call, median", better: "less" },
    { name: "calls", unit: "calls", better: "neither" },
  ],
  compare: [{ measure: "scriptUs", of: "1,000,000 waiting", to: "1,000 waiting", target: { most: 1.15 } }],
  measure,
}
