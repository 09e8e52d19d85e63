import { expect, it } from "vitest"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { newLedger, tally } from "./ledger.ts"
import { workerProcesses } from "./processes.ts"
import type { Work } from "./work.ts"

const jobs = 3000
const leaseMs = 500

onRedis("two worker processes", (host) => {
  const open = testApps()
  const startWorker = workerProcesses()

  it("run each of 3,000 jobs once, with leases of 500 ms and recovery all along", async () => {
    const ledger = newLedger()
    const adapter = host.adapter()
    const app = open({ adapter, retention: { completed: { maxItems: jobs } } })
    const task = app.task<Work, string>("work")
    const stalled: string[] = []
    const completed: string[] = []
    task.on("stalled", ({ id }) => stalled.push(id))
    task.on("completed", ({ id }) => completed.push(id))
    await app.listen()
    const settings = {
      url: host.url()!,
      prefix: adapter.prefix,
      ledger: ledger.path,
      concurrency: 20,
      leaseMs,
    }
    const workers = [await startWorker(settings), await startWorker(settings)]

    // 0.1 to 0.3 s, and every 75th six leases long.
    const work = Array.from({ length: jobs }, (_, i) => ({
      data: { ms: i % 75 === 0 ? 3000 : 100 + ((i * 37) % 200) },
    }))
    const ids = await Promise.all(task.dispatchMany(work))
    await until(() => completed.length >= jobs, "all have completed", 60_000)

    expect(await Promise.all(workers.map((worker) => worker.close()))).toEqual([0, 0])
    expect(workers.flatMap((worker) => worker.errors)).toEqual([])
    const began = tally(ledger.of("began").map(({ id }) => id))
    expect([...began.values()].every((runs) => runs === 1)).toBe(true)
    expect([...began.keys()].sort()).toEqual([...ids].sort())
    expect(ledger.of("ended").length).toBe(jobs)
    expect([...completed].sort()).toEqual([...ids].sort())
    expect(stalled).toEqual([])
    const byWorker = tally(ledger.of("began").map(({ pid }) => String(pid)))
    expect([...byWorker.values()].every((runs) => runs > jobs / 4)).toBe(true)
    const stats = await app.inspect().stats()
    expect(stats).toMatchObject({ waiting: 0, active: 0, delayed: 0, completed: jobs, failed: 0 })
    expect(stats.transitions).toMatchObject({ started: jobs, completed: jobs })
    ledger.remove()
  }, 90_000)
})
