import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import type { App, ObjectiveOptions, TaskOptions } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { untilAborted } from "../support/aborted.ts"
import { parseExposition } from "../support/exposition.ts"
import { claimAndVanish } from "../support/ghost.ts"
import { testApps, until } from "../support/hosts.ts"
import { type ManualClock, manualClock } from "../support/manual-clock.ts"
import { MetricCollector } from "../support/metrics.ts"

/** What is known of one objective: how many events, how many breaches, and what was promised. */
interface Known {
  events?: number
  breaches?: number
  target?: number
  threshold?: number
}
type Objectives = Record<string, Known>

/** What a job's handler does. */
type Deed = "return" | "fail" | "fail once" | "hold" | { readonly take: number; readonly fail?: true }

const open = testApps()
let clock: ManualClock
let adapter: ReturnType<typeof memoryAdapter>
let collector: MetricCollector
let metrics: ReturnType<typeof prometheus>
let app: App

beforeEach(() => {
  clock = manualClock()
  adapter = memoryAdapter({ clock })
  collector = new MetricCollector()
  metrics = prometheus({ port: false })
  app = open({ adapter, observers: [metrics, opentelemetry()] })
  app.on("task:failed", () => {})
})
afterEach(() => collector.stop())

function declare(objectives: ObjectiveOptions, options: TaskOptions<Deed> = {}) {
  return app.task<Deed>("t", {
    concurrency: 10,
    timeout: 0,
    retry: { attempts: 2, delay: 1000, backoff: "fixed", jitter: false },
    ...options,
    objectives,
    async handler(data: unknown, ctx) {
      const deed = data as Deed
      if (deed === "fail" || (deed === "fail once" && ctx.attempt === 1)) throw new RangeError("no")
      if (deed === "hold") await untilAborted(ctx.signal)
      if (typeof deed !== "object") return
      await new Promise<void>((resolve) => clock.setTimeout(resolve, deed.take))
      if (deed.fail) throw new RangeError("late")
    },
  })
}

/** Lets virtual time pass until the promise is settled. */
async function passing<T>(promise: PromiseLike<T>): Promise<PromiseSettledResult<T>> {
  const settled = Promise.allSettled([promise])
  let over = false
  void settled.then(() => {
    over = true
  })
  for (let n = 0; !over && n < 1000; n++) await clock.advance(100)
  return (await settled)[0]!
}

const fields = { objective_events_total: "events", objective_breaches_total: "breaches" } as const
const gaugeFields = { objective_target_ratio: "target", objective_threshold_seconds: "threshold" } as const

async function scraped(task: string): Promise<Objectives> {
  const families = parseExposition((await metrics.render()).body, "text")
  const known: Objectives = {}
  for (const [name, field] of Object.entries({ ...fields, ...gaugeFields }))
    for (const { labels, value } of families.get(`taskora_${name}`)?.samples ?? [])
      if (labels.task === task) known[labels.objective!] = { ...known[labels.objective!], [field]: value }
  return known
}

async function collected(task: string): Promise<Objectives> {
  const all = await collector.collect()
  const known: Objectives = {}
  for (const field of ["events", "breaches", "target", "threshold"])
    for (const { attributes, value } of all.get(`taskora.objective.${field}`)?.dataPoints ?? []) {
      const objective = String(attributes.objective)
      if (attributes.task === task) known[objective] = { ...known[objective], [field]: value }
    }
  return known
}

/** Waits until an objective has judged so many events, then reads all by both bindings, which must agree. */
async function judged(objective: string, events: number, task = "t"): Promise<Objectives> {
  await until(
    async () => ((await scraped(task))[objective]?.events ?? 0) >= events,
    `${events} events of ${objective}`,
  )
  const known = await scraped(task)
  expect(await collected(task)).toEqual(known)
  return known
}

describe("success", () => {
  test("judges each job that completed or failed for good once, however many attempts it took", async () => {
    const task = declare({ success: 0.9 })
    await app.start()
    for (const deed of ["return", "fail", "fail once", "fail", "return"] as const)
      await passing(task.dispatch(deed).result)
    expect(await judged("success", 5)).toEqual({ success: { events: 5, breaches: 2, target: 0.9 } })
  })

  test("leaves out jobs that were cancelled, in whatever state", async () => {
    const task = declare({ success: 0.9 })
    expect(await task.dispatch("return", { delay: "1h" }).cancel()).toBe("cancelled")
    expect(await task.dispatch("return").cancel()).toBe("cancelled")
    await app.start()
    const held = task.dispatch("hold")
    await until(async () => (await held.getState()) === "active", "it runs")
    expect(await held.cancel()).toBe("requested")
    await passing(held.result)
    await passing(task.dispatch("return").result)
    expect((await judged("success", 1)).success).toMatchObject({ events: 1, breaches: 0 })
  })

  test("is missed by a job that ran out of time, and by one that stalled too often", async () => {
    const task = declare({ success: 0.9 }, { timeout: "5s", stall: { interval: "1s", maxCount: 0 } })
    await task.dispatch("return")
    expect(await claimAndVanish(adapter, "t", 1000)).toHaveLength(1)
    await app.start()
    expect(await passing(task.dispatch("hold").result)).toMatchObject({ status: "rejected" })
    for (let n = 0; n < 100 && ((await scraped("t")).success?.events ?? 0) < 2; n++) await clock.advance(100)
    expect((await judged("success", 2)).success).toMatchObject({ events: 2, breaches: 2 })
  })
})

describe("wait", () => {
  const objectives = { wait: { within: "10s", target: 0.99 } } as const
  const promised = { target: 0.99, threshold: 10 }

  test.each([
    ["less than the threshold", 9_999, 0],
    ["exactly the threshold", 10_000, 0],
    ["a millisecond longer", 10_001, 1],
  ])("of %s: %i ms, %i breaches", async (_, waitMs, breaches) => {
    const task = declare(objectives)
    const job = task.dispatch("return")
    await job
    await clock.advance(waitMs)
    await app.start()
    await passing(job.result)
    expect(await judged("wait", 1)).toEqual({ wait: { events: 1, breaches, ...promised } })
  })

  test("is judged at each claim, from when the job could run", async () => {
    const task = declare(objectives)
    await app.start()
    // Backoff and delay are no waiting.
    await passing(task.dispatch("fail once").result)
    await passing(task.dispatch("return", { delay: "1m" }).result)
    expect((await judged("wait", 3)).wait).toEqual({ events: 3, breaches: 0, ...promised })
  })
})

describe("duration", () => {
  const objectives = { duration: { within: "5s", target: 0.95 } } as const
  const promised = { target: 0.95, threshold: 5 }

  test.each([
    ["less than the threshold", 4_999, 0],
    ["exactly the threshold", 5_000, 0],
    ["a millisecond longer", 5_001, 1],
  ])("of %s: %i ms, %i breaches", async (_, take, breaches) => {
    const task = declare(objectives)
    await app.start()
    await passing(task.dispatch({ take }).result)
    expect(await judged("duration", 1)).toEqual({ duration: { events: 1, breaches, ...promised } })
  })

  test("is judged of completed attempts only", async () => {
    const task = declare(objectives)
    await app.start()
    await passing(task.dispatch({ take: 6_000, fail: true }).result)
    const held = task.dispatch("hold")
    await until(async () => (await held.getState()) === "active", "it runs")
    await clock.advance(6_000)
    await held.cancel()
    await passing(held.result)
    await passing(task.dispatch("fail once").result)
    expect((await judged("duration", 1)).duration).toMatchObject({ events: 1, breaches: 0 })
  })
})

test("all three are told of from the declaration on, at zero, and none where none is promised", async () => {
  declare({
    success: 0.999,
    wait: { within: 250, target: 0.9 },
    duration: { within: "1.5s", target: 0.5 },
  })
  app.task("unpromising")
  app.task("empty", { objectives: {} })
  await app.start()
  const none = { events: 0, breaches: 0 }
  expect(await judged("success", 0)).toEqual({
    success: { ...none, target: 0.999 },
    wait: { ...none, target: 0.9, threshold: 0.25 },
    duration: { ...none, target: 0.5, threshold: 1.5 },
  })
  for (const task of ["unpromising", "empty"]) {
    expect(await scraped(task)).toEqual({})
    expect(await collected(task)).toEqual({})
  }
})

test("tasks without a label of their own are judged by nobody, for their promises differ", async () => {
  const limited = prometheus({ port: false, taskLimit: 1 })
  const two = open({ adapter: memoryAdapter(), observers: [limited] })
  const promises = [0.9, 0.8].map((success, i) =>
    two.task(`t${i}`, { objectives: { success }, handler: async () => {} }),
  )
  await two.start()
  await Promise.all(promises.map((task) => task.dispatch({}).result))
  const told = async (name: string) =>
    parseExposition((await limited.render()).body, "text")
      .get(name)
      ?.samples.map(({ labels, value }) => [labels.task, value])
  await until(
    async () => (await told("taskora_jobs_completed_total"))!.every(([, value]) => value === 1),
    "both have completed",
  )
  expect(await told("taskora_objective_events_total")).toEqual([["t0", 1]])
  expect(await told("taskora_objective_target_ratio")).toEqual([["t0", 0.9]])
})

describe("what cannot be an objective is refused by name", () => {
  const wait = { within: "10s", target: 0.99 }
  test.each<[unknown, RegExp]>([
    [null, /task "bad": objectives must be an object, not null/],
    [0.99, /task "bad": objectives must be an object, not 0.99/],
    [[], /task "bad": objectives must be an object, not an array/],
    [{ sucess: 0.9 }, /objectives: there is no option "sucess"; did you mean "success"\?/],
    [{ success: 1 }, /objectives\.success must be a number above 0 and below 1, such as 0\.99, not 1$/],
    [{ success: 0 }, /objectives\.success must be .*, not 0$/],
    [{ success: 99.9 }, /objectives\.success must be .*, not 99\.9$/],
    [{ success: "0.99" }, /objectives\.success must be .*, not "0\.99"$/],
    [{ success: Number.NaN }, /objectives\.success must be .*, not NaN$/],
    [{ success: null }, /objectives\.success must be .*, not null$/],
    [{ wait: "10s" }, /objectives\.wait must be an object, not "10s"/],
    [{ wait: null }, /objectives\.wait must be an object, not null/],
    [{ wait: { target: 0.99 } }, /objectives\.wait\.within: undefined is not a duration/],
    [{ wait: { within: "10s" } }, /objectives\.wait\.target must be .*, not undefined$/],
    [{ wait: { ...wait, within: 0 } }, /objectives\.wait\.within: 0 is not a duration of at least 1 ms/],
    [{ wait: { ...wait, within: "10 s" } }, /objectives\.wait\.within: "10 s" is not a duration/],
    [{ wait: { ...wait, threshold: 1 } }, /objectives\.wait: there is no option "threshold"/],
    [{ duration: { ...wait, target: 100 } }, /objectives\.duration\.target must be .*, not 100$/],
    [{ duration: { ...wait, within: -1 } }, /objectives\.duration\.within: -1 is not a duration/],
    [{ duration: { ...wait, with: "1s" } }, /objectives\.duration: .* did you mean "within"\?/],
  ])("%j", (objectives, message) => {
    const declared = () => app.task("bad", { objectives: objectives as ObjectiveOptions })
    expect(declared).toThrow(message)
    expect(declared).toThrow(expect.objectContaining({ code: "INVALID" }))
    // The name stays free.
    expect(() => app.task("bad")).not.toThrow()
  })
})
