import { prometheus } from "../../exporters/prometheus.ts"
import { createTaskora } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { payload } from "../harness/load.ts"
import { median } from "../harness/statistics.ts"
import { Ledger } from "../harness/wait.ts"
import type { Row, Sample, Stage } from "../row.ts"

/** Renders what a scrape reads, with every task's histograms filled. */
async function measure(stage: Stage): Promise<Sample> {
  const tasks = stage.entry.n!
  const metrics = prometheus({ port: false, taskLimit: tasks })
  const app = createTaskora({ adapter: redisAdapter(stage.url), observers: [metrics] })
  const ledger = new Ledger(tasks)
  const handler = async (data: { i: number }) => ledger.add(data)
  const all = Array.from({ length: tasks }, (_, i) => app.task(`task-${i}`, handler))
  await app.start()
  await Promise.all(all.map((task, i) => task.dispatch(payload(i))))
  await ledger.complete()
  const times: number[] = []
  const blocks: number[] = []
  let bytes = 0
  for (let scrape = 0; scrape < 12; scrape++) {
    const watch = watchBlocks()
    const start = performance.now()
    bytes = (await metrics.render()).body.length
    times.push(performance.now() - start)
    blocks.push(watch.stop())
  }
  await app.close()
  // The first scrape of a process is slower than all that follow, and is told too.
  return { total: median(times), first: times[0]!, block: median(blocks), kilobytes: bytes / 1000 }
}

/** The longest time that the event loop did not come round. */
function watchBlocks(): { stop(): number } {
  let longest = 0
  let last = performance.now()
  let going = true
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (going) setImmediate(look)
  }
  setImmediate(look)
  return {
    stop() {
      going = false
      return Math.max(longest, performance.now() - last)
    },
  }
}

function row(tasks: number, totalMs: number): Row {
  return {
    name: `metrics-${tasks}`,
    title: `/metrics of ${tasks} tasks`,
    entries: [{ label: "taskora", contestant: "taskora", n: tasks }],
    measures: [
      { name: "total", unit: "ms in all", better: "less" },
      { name: "block", unit: "ms longest block", better: "less" },
      { name: "first", unit: "ms first scrape", better: "less" },
      { name: "kilobytes", unit: "kB", better: "neither" },
    ],
    compare: [],
    bounds: [
      { of: "taskora", measure: "total", limit: { most: totalMs } },
      { of: "taskora", measure: "block", limit: { most: 20 } },
    ],
    measure,
  }
}

export const metricsRows: readonly Row[] = [row(100, 10), row(1_000, 150)]
