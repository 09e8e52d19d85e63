import { setTimeout as sleep } from "node:timers/promises"
import { fill } from "../harness/load.ts"
import { untilCounts } from "../harness/wait.ts"
import { both, type Role, type Row, type Sample, type Stage } from "../row.ts"

const jobs = 10_000

/** One of two workers, with jobs of 1 ms. */
async function worker(stage: Stage): Promise<Role> {
  let handled = 0
  const session = await stage.open()
  session.declare("bench", {
    concurrency: 10,
    async handle() {
      handled++
      await sleep(1)
    },
  })
  return { start: () => session.start(), handled: () => handled }
}

/** How much of a long backlog the worker gets that gets less. */
async function measure(stage: Stage): Promise<Sample> {
  const total = stage.size(jobs)
  const queue = (await stage.open()).declare("bench")
  const workers = [await stage.helper("worker"), await stage.helper("worker")]
  await fill(queue, total)
  await Promise.all(workers.map((one) => one.ask("start")))
  await untilCounts(queue, { waiting: 0, active: 0 })
  const handled = await Promise.all(workers.map((one) => one.ask<number>("handled")))
  const sum = handled.reduce((a, b) => a + b)
  if (sum !== total) throw new Error(`${sum} of ${total} jobs were handled`)
  return { share: (Math.min(...handled) / total) * 100 }
}

export const fairness: Row = {
  name: "fairness",
  title: "two workers at one backlog of 1 ms jobs: the share of the one that gets less",
  entries: both,
  rounds: 3,
  measures: [{ name: "share", unit: "%", better: "more" }],
  compare: [],
  bounds: [{ of: "taskora", measure: "share", limit: { least: 30 }, best: true }],
  measure,
  roles: { worker },
}
