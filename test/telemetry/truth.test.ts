import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { DispatchOptions, TaskOptions } from "../../src/index.ts"
import { parseExposition } from "../support/exposition.ts"
import { onRedis, until } from "../support/hosts.ts"
import { buildProgram, type Program } from "../support/program.ts"
import type { Deed, Stored } from "./pod.ts"
import { Pod } from "./pods.ts"
import { seriesOf, sumsOf, Truth } from "./truth.ts"

const retry = { attempts: 3, backoff: "fixed", delay: 5, jitter: false } as const
const lease = { stall: { interval: 1000, maxCount: 1 } } as const
const shortLease = { stall: { interval: 400, maxCount: 1 } } as const
/** What every pod declares from the start, and works on. */
const common: Readonly<Record<string, TaskOptions>> = {
  steady: { concurrency: 4 },
  flaky: { concurrency: 2, retry, objectives: { success: 0.9 } },
  slow: { timeout: 30 },
  hold: { concurrency: 2 },
}
const hold: Deed = { do: "hold" }

function times(count: number, deed: Deed): Deed[] {
  return Array.from({ length: count }, () => deed)
}

onRedis("three pods, and a fourth that is killed", (host) => {
  let program: Program
  let all: Pod[]
  const truth = new Truth()
  let startedAt: number
  /** What each of the three showed while they were all up. */
  let together: string[]
  /** The last that each process had to say. */
  let lastWords: string[]

  async function dispatch(pod: Pod, task: string, deeds: readonly Deed[], options: DispatchOptions = {}) {
    const stored = await pod.dispatch({ op: "dispatch", task, deeds, options })
    truth.dispatched(task, stored, options.delay !== undefined && task !== "parked")
    return stored
  }

  const declare = (pod: Pod, task: string, handles: boolean, options: TaskOptions = {}) =>
    pod.order({ op: "declare", task, handles, options })

  const cancel = async (pod: Pod, [job]: readonly Stored[], reason = "not needed") =>
    pod.order({ op: "cancel", id: job!.id, reason })

  const count = (task: string, ...whats: string[]) =>
    all.flatMap((pod) => pod.lines).filter((line) => line.task === task && whats.includes(line.what)).length

  const running = (task: string) => count(task, "start") - count(task, "return", "throw", "abort")

  async function untilRunning(task: string, runs: number): Promise<void> {
    await until(() => running(task) === runs, `${runs} jobs of ${task} run`)
  }

  /** Nothing waits or runs that could, and what the pods know of the queue is not older than that. */
  async function atRest(pod: Pod): Promise<void> {
    await until(async () => {
      const left = [...seriesOf(await pod.scrape(), "taskora_queue_jobs").keys()]
      return left.every((series) => series.includes("parked"))
    }, "the queue is empty")
    const heard = () =>
      all.slice(0, 3).map(({ lines }) => lines.filter((line) => line.what === "event").length)
    let before: number[] = []
    // A pod answers a scrape once its listeners have had their turn.
    for (let same = 0; same < 3; same = heard().join() === before.join() ? same + 1 : 0) {
      before = heard()
      await new Promise((resolve) => setTimeout(resolve, 400))
    }
  }

  async function ordinaryWork([first, second, third]: Pod[]): Promise<void> {
    await dispatch(first!, "steady", times(20, { do: "return" }))
    const many = { op: "dispatchMany", task: "steady", deeds: times(30, { do: "return" }) } as const
    truth.dispatched("steady", await second!.dispatch(many), false)
    await dispatch(third!, "steady", times(10, { do: "return" }), { delay: 30, priority: 5 })
    await dispatch(third!, "steady", times(8, { do: "report" }))
    truth.reported("steady", 8)
    await dispatch(first!, "flaky", times(5, { do: "fail", until: 3 }))
    await dispatch(second!, "flaky", times(4, { do: "fail", until: 99 }))
    await dispatch(third!, "flaky", times(3, { do: "again" }))
    await dispatch(first!, "slow", times(3, hold))
    for (const [pod, task] of [
      [first, "steady"],
      [third, "flaky"],
    ] as const) {
      expect(await pod!.order({ op: "reject", task })).toEqual(["SERIALIZATION", "PAYLOAD_TOO_LARGE"])
      truth.rejected(task, "serialization")
      truth.rejected(task, "too_large")
    }
  }

  async function namesAndCancels([first, second, third]: Pod[]): Promise<void> {
    const twins = [first!, second!].map((pod) => dispatch(pod, "parked", [hold], { jobId: "twin" }))
    expect((await Promise.all(twins)).flat().filter(({ enqueued }) => enqueued)).toHaveLength(1)
    truth.rejected("parked", "duplicate")
    await dispatch(first!, "parked", times(2, hold))
    expect(await cancel(first!, await dispatch(first!, "parked", [hold]))).toBe("cancelled")
    truth.removed("parked", "waiting")
    await dispatch(second!, "parked", [hold], { delay: "1h" })
    expect(await cancel(second!, await dispatch(second!, "parked", [hold], { delay: "1h" }))).toBe(
      "cancelled",
    )
    truth.removed("parked", "delayed")
    const held = await dispatch(third!, "hold", times(2, hold))
    await untilRunning("hold", 2)
    for (const job of held) expect(await cancel(third!, [job])).toBe("requested")
    await untilRunning("hold", 0)
    await untilRunning("slow", 0)
  }

  async function killOne([first, second, third, victim]: Pod[]): Promise<string> {
    await Promise.all([first, second].map((pod) => pod!.order({ op: "open" })))
    await dispatch(victim!, "frail", times(2, hold))
    await dispatch(victim!, "doomed", [hold])
    const asked = await dispatch(first!, "asked", [hold])
    for (const [task, runs] of [
      ["frail", 2],
      ["doomed", 1],
      ["asked", 1],
    ] as const)
      await untilRunning(task, runs)
    const lastWord = await victim!.scrape()
    await victim!.kill()
    expect(await cancel(first!, asked)).toBe("requested")
    truth.removed("asked", "active")
    truth.stalled("frail", "recovered")
    truth.stalled("frail", "recovered")
    truth.stalled("doomed", "failed")
    await declare(second!, "asked", true, lease)
    await declare(third!, "asked", false)
    for (const pod of [first!, second!, third!]) {
      await declare(pod, "frail", pod !== third, lease)
      await declare(pod, "doomed", pod !== third, { stall: { interval: 1000, maxCount: 0 } })
    }
    await until(() => count("frail", "return") === 2, "what the victim held has run")
    return lastWord
  }

  async function stopOne([first, second, third]: Pod[]): Promise<void> {
    await declare(third!, "paused", true, shortLease)
    await declare(first!, "paused", false)
    await dispatch(first!, "paused", [hold])
    await untilRunning("paused", 1)
    third!.signal("SIGSTOP")
    await declare(second!, "paused", true, shortLease)
    await until(() => count("paused", "return") === 1, "another pod has run it")
    truth.stalled("paused", "recovered")
    third!.signal("SIGCONT")
    await untilRunning("paused", 0)
  }

  async function closeOne([first, second, third]: Pod[]): Promise<string> {
    await declare(third!, "handover", true)
    await declare(first!, "handover", false)
    await dispatch(first!, "handover", [hold])
    await untilRunning("handover", 1)
    await declare(second!, "handover", true)
    const lastWord = (await third!.order({ op: "close", timeout: 50 })) as string
    await until(() => count("handover", "return") === 1, "another pod has run it")
    return lastWord
  }

  beforeAll(async () => {
    program = await buildProgram(join(import.meta.dirname, "pod.ts"))
    const { prefix } = host.adapter()
    startedAt = Date.now() / 1000
    all = [true, true, true, false].map((listens) => new Pod(program, { url: host.url()!, prefix, listens }))
    const [first, second, third, victim] = all as [Pod, Pod, Pod, Pod]
    for (const pod of [first, second, third]) {
      for (const [task, options] of Object.entries(common)) await declare(pod, task, true, options)
      await declare(pod, "parked", false)
    }
    for (const task of ["frail", "asked"]) await declare(victim, task, true, { ...lease, concurrency: 2 })
    await declare(victim, "doomed", true, { stall: { interval: 1000, maxCount: 0 } })
    await declare(first, "asked", false)
    await Promise.all(all.map((pod) => pod.start()))

    await ordinaryWork(all)
    await namesAndCancels(all)
    const ofVictim = await killOne(all)
    await stopOne(all)
    await atRest(first)
    together = await Promise.all([first, second, third].map((pod) => pod.scrape()))
    const ofThird = await closeOne(all)
    await atRest(first)
    lastWords = [...(await Promise.all([first.scrape(), second.scrape()])), ofThird, ofVictim]
    truth.workers(4, 1)
    truth.ran(
      all.flatMap(({ lines }) => lines),
      { flaky: 3 },
    )
  }, 60_000)

  afterAll(async () => {
    await Promise.all(all.map((pod) => pod.kill()))
    program.remove()
  })

  const sorted = (series: ReadonlyMap<string, number>) => Object.fromEntries([...series].sort())
  const transitions = "taskora_cluster_transitions_total"

  test("the sum of each counter, and of each histogram's count, is what happened", () => {
    expect(sorted(sumsOf(lastWords))).toEqual(sorted(truth.sums))
  })

  test("cluster.transitions is what happened, in each pod", () => {
    for (const body of lastWords.slice(0, 2))
      expect(sorted(seriesOf(body, transitions))).toEqual(sorted(truth.cluster))
    const [first, ...others] = together.map((body) => sorted(seriesOf(body, transitions)))
    // Tasks that a pod has not declared are not its to speak of.
    for (const other of others)
      for (const [series, value] of Object.entries(first!))
        if (!series.includes('"paused"') || series in other) expect(other[series], series).toBe(value)
  })

  test("the sums agree with each other", () => {
    const sums = [...sumsOf(lastWords)]
    const sum = (name: string, ...parts: string[]) =>
      sums
        .filter(([series]) => series.startsWith(`taskora_${name}[`) && parts.every((p) => series.includes(p)))
        .reduce((total, [, value]) => total + value, 0)
    const failed = sum("attempts_failed_total")
    const handedBack = sum("attempts_released_total")
    const recovered = sum("jobs_stalled_total", "recovered")
    const cancelled = sum("jobs_cancelled_total", "active")
    for (const part of [failed, handedBack, recovered, cancelled]) expect(part).toBeGreaterThan(0)
    expect(sum("attempts_started_total")).toBe(
      sum("jobs_completed_total") + failed + cancelled + recovered + handedBack,
    )
    expect(sum("attempts_failed_total", '"will_retry","false"')).toBe(sum("jobs_failed_total"))
    expect(sum("attempts_failed_total", '"will_retry","true"')).toBe(sum("jobs_retried_total"))
  })

  test("queue gauges are alike in each pod, and true", () => {
    const left = { waiting: 3, delayed: 1 }
    const key = (name: string, labels: object) => `${name}${JSON.stringify(Object.entries(labels).sort())}`
    for (const body of together) {
      const expected = Object.entries(left).map(([state, jobs]): [string, number] => [
        key("taskora_queue_jobs", { task: "parked", state }),
        jobs,
      ])
      expect(sorted(seriesOf(body, "taskora_queue_jobs"))).toEqual(Object.fromEntries(expected.sort()))
      const oldest = [...seriesOf(body, "taskora_queue_oldest_timestamp_seconds")]
      expect(oldest).toEqual([...seriesOf(together[0]!, "taskora_queue_oldest_timestamp_seconds")])
      expect(oldest.map(([series]) => series)).toEqual([
        key("taskora_queue_oldest_timestamp_seconds", { task: "parked" }),
      ])
      expect(oldest[0]![1]).toBeGreaterThan(startedAt - 1)
      expect(oldest[0]![1]).toBeLessThan(Date.now() / 1000)
      const slots = seriesOf(body, "taskora_worker_slots")
      expect(slots.get(key("taskora_worker_slots", { task: "steady", state: "idle" }))).toBe(4)
      expect([...slots.keys()].filter((series) => !series.includes("idle"))).toEqual([])
      expect(seriesOf(body, "taskora_workers")).toEqual(seriesOf(together[0]!, "taskora_workers"))
      expect([...seriesOf(body, "taskora_store_up").values()]).toEqual([1])
    }
  })

  test("a pod that is closed still has its own numbers, and says nothing of the queue", () => {
    const closed = parseExposition(lastWords[2]!, "text")
    expect(closed.get("taskora_store_up")?.samples[0]?.value).toBe(0)
    for (const name of ["taskora_queue_jobs", "taskora_workers", transitions])
      expect(closed.has(name), name).toBe(false)
  })
})
