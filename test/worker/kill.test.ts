import { expect, it } from "vitest"
import { JobFailedError } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { newLedger, tally } from "./ledger.ts"
import { workerProcesses } from "./processes.ts"
import type { Work } from "./work.ts"

const leaseMs = 500
/** For what the machine's scheduler adds to the two intervals, ms. */
const slackMs = 300

onRedis("a worker that is killed", (host) => {
  const open = testApps()
  const startWorker = workerProcesses()

  function setUp() {
    const ledger = newLedger()
    const adapter = host.adapter()
    const app = open({ adapter, retention: { completed: { maxItems: 10_000 } } })
    const task = app.task<Work, string>("work")
    const settings = {
      url: host.url()!,
      prefix: adapter.prefix,
      ledger: ledger.path,
      concurrency: 10,
      leaseMs,
    }
    return { ledger, app, task, heard: hearTask(task), settings }
  }

  it("leaves jobs that are recovered within two intervals, told once each, none lost", async () => {
    const { ledger, app, task, heard, settings } = setUp()
    await app.listen()
    const patient = { ...settings, maxStalls: 100 }
    const workers = [await startWorker(patient), await startWorker(patient)]
    const ids: string[] = []
    for (let kills = 0; kills < 8; kills++) {
      // More than two workers can do until the next kill, however long that takes to be noticed.
      const more = Array.from({ length: 130 }, (_, i) => ({ data: { ms: 50 + ((i * 53) % 350) } }))
      ids.push(...(await Promise.all(task.dispatchMany(more))))
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400))
      const victim = workers.shift()!
      const before = heard.of("stalled").length
      const at = await victim.kill()
      const own = ledger.read().filter(({ pid }) => pid === victim.pid)
      const ended = new Set(own.filter(({ what }) => what === "ended").map(({ id }) => id))
      const cut = own.filter(({ what, id }) => what === "began" && !ended.has(id)).map(({ id }) => id)
      const recovered = () => heard.all.filter(({ event }) => event === "stalled").slice(before)
      const left = () => cut.filter((id) => !recovered().some(({ payload }) => payload.id === id))
      expect(cut.length, "the kill hit running jobs").toBeGreaterThan(0)
      await until(() => left().length === 0, "each job that was cut off has stalled")
      const latest = Math.max(...recovered().map(({ meta }) => meta.timestamp))
      expect(latest - at).toBeLessThanOrEqual(2 * leaseMs + slackMs)
      workers.push(await startWorker(patient))
    }
    await until(() => heard.of("completed").length >= ids.length, "all have completed", 30_000)
    expect(await Promise.all(workers.map((worker) => worker.close()))).toEqual([0, 0])

    const began = ledger.of("began")
    const runs = tally(began.map(({ id }) => id))
    const stalls = tally(heard.of("stalled").map(({ id }) => id))
    expect(new Set(began.map(({ attempt }) => attempt))).toEqual(new Set([1]))
    for (const id of ids) expect(runs.get(id)).toBeLessThanOrEqual(1 + (stalls.get(id) ?? 0))
    for (const [id, count] of stalls) {
      const told = heard.of("stalled").filter((payload) => payload.id === id)
      const expected = Array.from({ length: count }, (_, i) => ({ id, count: i + 1, action: "recovered" }))
      expect(told).toEqual(expected)
    }
    expect(
      heard
        .of("completed")
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...ids].sort())
    expect(heard.of("failed")).toEqual([])
    const stats = await app.inspect().stats()
    expect(stats).toMatchObject({ waiting: 0, active: 0, completed: ids.length, failed: 0 })
    expect(stats.transitions).toMatchObject({
      stalled_recovered: heard.of("stalled").length,
      started: ids.length + heard.of("stalled").length,
    })
    ledger.remove()
  }, 60_000)

  it("by its own job, again and again, fails the job with a StalledError", async () => {
    const { ledger, app, task, heard, settings } = setUp()
    await app.listen()
    const bystander = { ...settings, concurrency: 1 }
    const handle = task.dispatch({ ms: 0, die: true })
    const id = await handle
    const failure = handle.result.catch((error: unknown) => error)
    for (let run = 1; run <= 2; run++) {
      // It dies before it can say that it is ready, or shortly afterwards.
      const worker = await startWorker(bystander).catch(() => undefined)
      if (worker) await until(() => !worker.isAlive, "the job has killed its process")
    }
    // Somebody must be left to recover it.
    await startWorker(bystander)
    await heard.until("failed")

    const error = "job stalled 2 times; its workers vanished while it ran"
    expect(heard.all.map(({ event, payload }) => ({ event, ...payload }))).toEqual([
      { event: "active", id, attempt: 1 },
      { event: "stalled", id, count: 1, action: "recovered" },
      { event: "active", id, attempt: 1 },
      { event: "stalled", id, count: 2, action: "failed" },
      { event: "failed", id, error, attempt: 1, willRetry: false },
    ])
    const thrown = await failure
    expect(thrown).toBeInstanceOf(JobFailedError)
    expect((thrown as JobFailedError).cause).toMatchObject({ name: "StalledError", message: error })
    expect(ledger.of("began").length).toBe(2)
    expect(await handle.getState()).toBe("failed")
    ledger.remove()
  })
})
