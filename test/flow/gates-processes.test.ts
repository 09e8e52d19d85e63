import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { Redis } from "ioredis"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type App, createTaskora } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { onRedis } from "../support/hosts.ts"
import { buildProgram, exited, type Program } from "../support/program.ts"
import type { Answer, Round } from "./dispatcher.ts"

onRedis("gates before three processes", (host) => {
  let program: Program
  let app: App
  let place: { url: string; prefix: string }
  const children: ChildProcess[] = []

  beforeAll(async () => {
    program = await buildProgram(join(import.meta.dirname, "dispatcher.ts"))
    const { prefix } = host.adapter()
    place = { url: host.url()!, prefix }
    app = createTaskora({
      adapter: redisAdapter(place.url, { prefix }),
      retention: { completed: { maxItems: 10_000 }, failed: { maxItems: 10_000 } },
    })
    for (const name of ["a", "b", "c"]) children.push(program.start({ ...place, name }))
    await Promise.all(children.map((child) => once(child, "message")))
    app.task<string, string>("gated", async (data) => data)
  }, 60_000)

  afterAll(async () => {
    for (const child of children) child.disconnect()
    await Promise.all(children.map(exited))
    await app.close()
    program.remove()
  }, 60_000)

  /** About 1,000 dispatches in all, at the same time; the answers of each process. */
  async function all(round: Omit<Round, "count">): Promise<Answer[][]> {
    const answers = children.map(async (child) => (await once(child, "message"))[0] as Answer[])
    for (const child of children) child.send({ count: 334, ...round } satisfies Round)
    return Promise.all(answers)
  }

  const accepted = (answers: readonly Answer[][]) => answers.flat().filter(({ enqueued }) => enqueued)
  const find = async (id: string) => (await app.inspect().find(id))!

  it("Throttle at exactly max per any window, under 1,000 concurrent dispatches", async () => {
    const answers = await all({ options: { throttle: { key: "burst", max: 123, window: "1h" } } })
    expect(accepted(answers)).toHaveLength(123)
  }, 60_000)

  it("and wherever in 1,000 dispatches over a while that window begins", async () => {
    const [max, windowMs] = [40, 250]
    const answers = await all({
      options: { throttle: { key: "sliding", max, window: windowMs } },
      pauseMs: 3,
    })
    const jobs = await Promise.all(accepted(answers).map(({ id }) => find(id)))
    const times = jobs.map(({ timestamp }) => timestamp).sort((a, b) => a - b)
    for (let i = max; i < times.length; i++) expect(times[i]! - times[i - max]!).toBeGreaterThan(windowMs)
    // It lets in what it may: each window that was full is followed by the next one.
    expect(times.length).toBeGreaterThanOrEqual(3 * max)
    expect(times.length).toBeLessThan(1000)
  }, 60_000)

  it("Debounce: 1,000 dispatches in the window run once, with the last data", async () => {
    const before = await app.inspect().stats({ task: "gated" })
    const answers = await all({ options: { debounce: { key: "k", delay: "1h" } } })
    expect(accepted(answers)).toHaveLength(1002)
    const after = await app.inspect().stats({ task: "gated" })
    expect(after.delayed).toBe(1)
    expect(after.transitions.cancelled_delayed - before.transitions.cancelled_delayed).toBe(1001)
    const last = await Promise.all(answers.map((own) => find(own.at(-1)!.id)))
    const left = last.filter(({ state }) => state === "delayed")
    expect(left).toHaveLength(1)
    expect(left[0]!.data).toMatch(/^[abc] 333$/)
  }, 60_000)

  it("Dedupe: 1,000 concurrent dispatches make one job", async () => {
    const answers = await all({ options: { deduplicate: { key: "k" } } })
    const [only, ...others] = accepted(answers)
    expect(others).toEqual([])
    const ids = new Set(answers.flat().map(({ id }) => id))
    expect([...ids]).toEqual([only!.id])
    const existing = answers.flat().filter(({ existingId }) => existingId === only!.id)
    expect(existing).toHaveLength(1001)
  }, 60_000)

  it("and what waits of all that runs once, and leaves no key of a deduplication behind", async () => {
    const ran = new Promise<void>((resolve) => {
      let left = 0
      app.on("task:completed", () => {
        if (--left === 0) resolve()
      })
      void app
        .inspect()
        .stats({ task: "gated" })
        .then(({ waiting }) => {
          left = waiting
          void app.start()
        })
    })
    await ran
    const { waiting, active, transitions } = await app.inspect().stats({ task: "gated" })
    expect({ waiting, active }).toEqual({ waiting: 0, active: 0 })
    const { dispatched, completed, cancelled_delayed } = transitions
    expect(dispatched).toBe(completed + cancelled_delayed + 1)
    const redis = new Redis(place.url)
    expect(await redis.keys(`${place.prefix}:taskora:*dedupe:*`)).toEqual([])
    redis.disconnect()
  }, 60_000)
})
