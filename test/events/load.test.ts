import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import type { Task } from "../../src/index.ts"
import { deferred } from "../../src/model/deferred.ts"
import { type Heard, hearTask } from "../support/hearing.ts"
import { onRedis, testApps } from "../support/hosts.ts"
import type { Program } from "../support/program.ts"
import type { HeardEvent } from "./listener.ts"
import { ListenerProcess } from "./listeners.ts"

const patienceMs = 60_000

/** Dispatches in chunks, as a busy program would. */
async function dispatchAll(task: Task, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let from = 0; from < count; from += 2000) {
    const size = Math.min(2000, count - from)
    ids.push(
      ...(await Promise.all(task.dispatchMany(Array.from({ length: size }, (_, i) => ({ data: from + i }))))),
    )
  }
  return ids
}

/** Each job was heard to begin and then to complete, once; no number is missing and none comes back. */
function expectWhole(heard: readonly HeardEvent[], ids: readonly string[]): void {
  const events = new Map<string, string>()
  let seq = 0
  let disorder = 0
  for (const [event, id, number] of heard) {
    if (number !== ++seq) disorder++
    events.set(id, `${events.get(id) ?? ""} ${event}`)
  }
  expect(disorder).toBe(0)
  expect(events.size).toBe(ids.length)
  expect(ids.filter((id) => events.get(id) !== " active completed")).toEqual([])
}

function compact({ event, payload, meta }: Heard): HeardEvent {
  return [event, payload.id, meta.seq]
}

onRedis("events under load", (host) => {
  const openApp = testApps()
  const processes: ListenerProcess[] = []
  let program: Program

  beforeAll(async () => {
    program = await ListenerProcess.build()
  })
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((listener) => listener.kill()))
  })
  afterAll(() => program.remove())

  it("a backlog of 20,000 instant jobs with a listener in the same process: all events are delivered, in order", {
    timeout: patienceMs * 2,
  }, async () => {
    const taskora = openApp({ adapter: host.adapter() })
    const task = taskora.task("instant", { concurrency: 20, handler: async () => "done" })
    const heard = hearTask(task)
    await taskora.start()
    const ids = await dispatchAll(task, 20_000)
    await heard.until("completed", 20_000, patienceMs)
    expectWhole(heard.all.map(compact), ids)
  })

  it("30,000 jobs at concurrency 100 with a listener in another process: all events are delivered, in order", {
    timeout: patienceMs * 2,
  }, async () => {
    const adapter = host.adapter()
    const listener = await ListenerProcess.start(program, {
      ...{ url: host.url()!, prefix: adapter.prefix, task: "instant" },
    })
    processes.push(listener)
    const taskora = openApp({ adapter })
    const task = taskora.task("instant", { concurrency: 100, handler: async () => "done" })
    await taskora.start()
    const ids = await dispatchAll(task, 30_000)
    await listener.heard(60_000, patienceMs)
    const { heard, errors } = await listener.report()
    expect(errors).toEqual([])
    expectWhole(heard, ids)
  })

  it("four listeners attached at once after start: each hears each event once", async () => {
    const taskora = openApp({ adapter: host.adapter() })
    const task = taskora.task("instant", { concurrency: 5, handler: async () => "done" })
    await taskora.start()
    const hearings = [1, 2, 3, 4].map(() => hearTask(task))
    const ids = await dispatchAll(task, 200)
    for (const heard of hearings) await heard.until("completed", 200)
    for (const heard of hearings) expectWhole(heard.all.map(compact), ids)
  })

  it("a close right after the last job still delivers its event", async () => {
    for (let round = 0; round < 10; round++) {
      const taskora = openApp({ adapter: host.adapter() })
      const { promise, resolve } = deferred<void>()
      const task = taskora.task("instant", {
        concurrency: 10,
        handler: async (i) => {
          if (i === 99) resolve()
        },
      })
      const heard = hearTask(task)
      await taskora.start()
      const ids = await dispatchAll(task, 100)
      await promise
      await taskora.close()
      expectWhole(heard.all.map(compact), ids)
    }
  })

  it("a reader slower than its stream hears of the gap, with its exact size", {
    timeout: patienceMs * 2,
  }, async () => {
    const adapter = host.adapter()
    const listener = await ListenerProcess.start(program, {
      ...{ url: host.url()!, prefix: adapter.prefix, task: "instant" },
    })
    processes.push(listener)
    const taskora = openApp({ adapter, events: { maxLength: 50 } })
    const task = taskora.task("instant", async () => "done")
    await taskora.start()
    await task.dispatch(0).result
    await listener.heard(2)

    listener.stop()
    const ids = await dispatchAll(task, 1500)
    await task.dispatch(0).result
    await taskora.close()
    listener.goOn()

    const again = openApp({ adapter: host.sibling(adapter) })
    const last = again.task("instant", async () => "done")
    await again.start()
    const final = await last.dispatch(0)
    let report = await listener.report()
    while (!report.heard.some(([event, id]) => event === "completed" && id === final))
      report = await listener.report()

    const { heard, errors } = report
    const seqs = heard.map(([, , seq]) => seq)
    const total = 2 * (ids.length + 3)
    const lost = errors.reduce((sum, error) => sum + (error.lost ?? 0), 0)
    expect(errors.map(({ name }) => name)).toContain("EventsLostError")
    expect(errors.filter(({ name }) => name !== "EventsLostError")).toEqual([])
    expect(lost).toBeGreaterThan(0)
    expect(seqs.at(-1)).toBe(total)
    expect(seqs.length + lost).toBe(total)
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
    const gaps = seqs.flatMap((seq, i) => (i > 0 && seq - seqs[i - 1]! > 1 ? [seq - seqs[i - 1]! - 1] : []))
    expect(errors.map((error) => error.lost)).toEqual(gaps)
  })
})
