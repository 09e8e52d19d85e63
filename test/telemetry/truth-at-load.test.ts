import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Redis } from "ioredis"
import { afterAll, beforeAll, expect, test } from "vitest"
import { type TransitionName, transitionNames } from "../../src/model/observer.ts"
import { taskKeys } from "../../src/store/keys.ts"
import { type BuiltCommand, buildCommand, type CommandRun } from "../support/command.ts"
import { onRedis, until } from "../support/hosts.ts"
import { buildProgram, type Program } from "../support/program.ts"
import { seriesOf, sumsOf } from "./truth.ts"
import { Ledger, type PodDiary } from "./truth-at-load-ledger.ts"
import type { Fact, PodConfig } from "./truth-at-load-pod.ts"
import { LoadPod } from "./truth-at-load-pods.ts"
import { type Batch, slots, tasks } from "./truth-at-load-work.ts"

/** What one dispatching pod makes in one half; there are two of each. */
const ordinary: readonly Batch[] = [
  { task: "plain", deed: "return", count: 300 },
  { task: "slow", deed: "hold", count: 25 },
  { task: "plain", deed: "return", count: 1500, many: true },
  { task: "flaky", deed: "fail twice", count: 100 },
  { task: "flaky", deed: "fail always", count: 50 },
  { task: "flaky", deed: "fail for good", count: 50, many: true },
  { task: "plain", deed: "return", count: 200, delay: 50 },
  { task: "flaky", deed: "ask again", count: 50 },
  { task: "flaky", deed: "ask again at once", count: 50 },
  { task: "talkative", deed: "report", count: 200 },
  { task: "timed", deed: "take a while", count: 100 },
  { task: "plain", deed: "return", count: 300, priority: 7 },
  { task: "flaky", deed: "return", count: 400, many: true },
  { task: "plain", deed: "return", count: 1500, many: true },
  { task: "plain", deed: "return", count: 100, delay: 20, priority: 3 },
]
/** Both dispatching pods make these, at once. */
const twins: readonly Batch[] = [{ task: "plain", deed: "return", count: 200, name: "twin" }]
const unwanted: readonly Batch[] = [
  { task: "plain", deed: "return", count: 300, cancel: true },
  { task: "parked", deed: "hold", count: 40, cancel: true },
  { task: "parked", deed: "hold", count: 40, delay: "1h", cancel: true },
]
const left: readonly Batch[] = [
  { task: "parked", deed: "hold", count: 3 },
  { task: "parked", deed: "hold", count: 2, delay: "1h" },
]

/** A process of `taskora exporter`. */
interface Exporter {
  readonly run: CommandRun
  readonly url: string
}

/** Those that live to the end, and work or dispatch. */
const survivors = ["first", "second", "worker", "stand-in"] as const
const launches = 'taskora_store_call_duration_seconds_count[["script","launch"]]'
const transitions = "taskora_cluster_transitions_total"

onRedis("20,000 jobs, a pod that is killed, and one that is replaced", (host) => {
  let program: Program
  let taskora: BuiltCommand
  let directory: string | undefined
  let redis: Redis
  let prefix: string
  const pods = new Map<string, LoadPod>()
  /** The last that each living pod had to say, and the killed one. */
  const lastWords = new Map<string, string>()
  /** The killed pod's last scrape: what it had written before and after it, and when that was. */
  let window: Record<"before" | "after", { readonly facts: Fact[]; readonly at: number }>
  let ledger: Ledger
  /** What the exporter told right before it was killed, and its successor right afterwards. */
  let handover: { readonly before: ReadonlyMap<string, number>; readonly after: ReadonlyMap<string, number> }
  /** What the exporters told at the end. */
  let exported: string[]

  const living = () => [...lastWords].filter(([name]) => name !== "victim").map(([, body]) => body)
  const sorted = (series: ReadonlyMap<string, number>) => Object.fromEntries([...series].sort())
  const count = (facts: readonly Fact[], what: Fact["what"]) => facts.filter((f) => f.what === what).length

  async function open(name: string, role: PodConfig["role"], listens = false): Promise<LoadPod> {
    const diary = join(directory!, name)
    const pod = new LoadPod(name, program, { url: host.url()!, prefix, role, listens, diary })
    pods.set(name, pod)
    await pod.start()
    return pod
  }

  async function openExporter(): Promise<Exporter> {
    const run = taskora.start([
      "exporter",
      "--redis",
      host.url()!,
      "--prefix",
      prefix,
      "--listen",
      "127.0.0.1:0",
    ])
    const [, url] = await run.says(/serving (http:\/\/\S+)\/metrics/)
    return { run, url: url! }
  }

  const scrapeExporter = async ({ url }: Exporter) => (await fetch(`${url}/metrics`)).text()

  /** A kill half-way, while jobs run. */
  async function restart(exporter: Exporter): Promise<Exporter> {
    const before = seriesOf(await scrapeExporter(exporter), transitions)
    exporter.run.process.kill("SIGKILL")
    await exporter.run.code()
    const next = await openExporter()
    let after: ReadonlyMap<string, number> = new Map()
    await until(async () => {
      after = seriesOf(await scrapeExporter(next), transitions)
      return after.size > 0
    }, "the new exporter has read the queues")
    handover = { before, after }
    return next
  }

  /** The store's own counters of a task. */
  async function stats(task: string): Promise<Record<TransitionName, number>> {
    const values = await redis.hmget(taskKeys(prefix, task).stats, ...transitionNames)
    return Object.fromEntries(transitionNames.map((name, i) => [name, Number(values[i] ?? 0)])) as Record<
      TransitionName,
      number
    >
  }

  async function untilStarted(pod: LoadPod, starts: number): Promise<void> {
    await until(() => count(pod.facts(), "start") >= starts, `${pod.name} has begun ${starts} runs`, 60_000)
  }

  const holding = (pod: LoadPod, task: string) =>
    pod.facts().flatMap((fact) => (fact.what === "start" && fact.task === task ? [fact.id] : []))

  async function killOne(victim: LoadPod, first: LoadPod): Promise<void> {
    const before = { facts: victim.facts(), at: Date.now() }
    lastWords.set("victim", await victim.scrape())
    window = { before, after: { facts: victim.facts(), at: Date.now() } }
    await victim.kill()
    // A request that nobody is left to hear: recovery honours it.
    expect(await first.order({ op: "cancel", id: holding(victim, "frail")[0]! })).toBe("requested")
  }

  /** Nothing waits or runs but what is meant to, and every process has said all that it has to say. */
  async function atRest(): Promise<void> {
    const open = async (task: string) => {
      const { dispatched, completed, failed, ...rest } = await stats(task)
      const cancelled = rest.cancelled_waiting + rest.cancelled_delayed + rest.cancelled_active
      return dispatched - completed - failed - cancelled
    }
    await until(
      async () => {
        const jobs = await Promise.all(Object.keys(tasks).map(open))
        return Object.keys(tasks).every((task, i) => jobs[i] === (task === "parked" ? 10 : 0))
      },
      "all jobs have ended",
      60_000,
    )
    const words = async () => {
      const bodies = await Promise.all(survivors.map((name) => pods.get(name)!.scrape()))
      return JSON.stringify([...sumsOf(bodies)])
    }
    let before = ""
    for (let same = 0; same < 3; ) {
      const now = await words()
      same = now === before ? same + 1 : 0
      before = now
      // What a pod knows of the queue may be a second old.
      await new Promise((resolve) => setTimeout(resolve, 400))
    }
  }

  beforeAll(async () => {
    ;[program, taskora] = await Promise.all([
      buildProgram(join(import.meta.dirname, "truth-at-load-pod.ts")),
      buildCommand(),
    ])
    directory = mkdtempSync(join(import.meta.dirname, "../../.tmp/diaries-"))
    prefix = host.adapter().prefix
    redis = new Redis(host.url()!)
    const [first, second, worker, replaced, victim, exporter, another] = await Promise.all([
      open("first", "dispatcher", true),
      open("second", "dispatcher"),
      open("worker", "worker"),
      open("replaced", "worker"),
      open("victim", "worker"),
      openExporter(),
      openExporter(),
    ])
    // A worker that dispatches with nothing to do stores and claims in one.
    await worker.order({
      op: "dispatch",
      batches: Array.from({ length: 40 }, () => ({ task: "plain", deed: "return", count: 1 }) as const),
    })
    const both = (batches: readonly Batch[]) =>
      Promise.all([first, second].map((pod) => pod.order({ op: "dispatch", batches })))
    await first.order({
      op: "dispatch",
      batches: ["frail", "doomed"].map((task) => ({ task, deed: "hold", count: 6 }) as const),
    })
    await until(
      () => ["frail", "doomed"].every((task) => holding(victim, task).length === 2),
      "the victim holds its share",
      60_000,
    )

    const firstHalf = both([...ordinary, ...twins])
    await untilStarted(victim, 500)
    await killOne(victim, first)
    await Promise.all([first, second].map((pod) => pod.order({ op: "reject", task: "flaky" })))
    await firstHalf

    await first.order({ op: "dispatch", batches: [{ task: "held", deed: "hold", count: 60 }] })
    const secondHalf = both([...ordinary, ...unwanted])
    await untilStarted(replaced, count(replaced.facts(), "start") + 500)
    const restarted = restart(exporter)
    const closing = replaced.order({ op: "close", timeout: 300 })
    await open("stand-in", "worker")
    lastWords.set("replaced", (await closing) as string)
    await secondHalf
    await both(left)
    const doomed = async () => (await stats("doomed")).stalled_failed
    const frail = async () => (await stats("frail")).stalled_recovered
    await until(
      async () => (await doomed()) === 2 && (await frail()) === 1,
      "what the victim held is found",
      60_000,
    )
    await Promise.all([worker, pods.get("stand-in")!].map((pod) => pod.order({ op: "open" })))
    await atRest()
    for (const name of survivors) lastWords.set(name, await pods.get(name)!.scrape())
    exported = await Promise.all([await restarted, another].map(scrapeExporter))

    const fates: Readonly<Record<string, PodDiary["fate"]>> = { victim: "killed", replaced: "closed" }
    ledger = new Ledger(
      [...pods].map(([name, pod]) => ({ name, facts: pod.facts(), fate: fates[name] ?? "lives" })),
    )
    for (const name of ["worker", "stand-in", "replaced"]) ledger.say(name, "worker_starts_total", {})
    ledger.say("replaced", "worker_shutdowns_total", {})
  }, 180_000)

  afterAll(async () => {
    await Promise.all([...pods.values()].map((pod) => pod.kill()))
    await taskora?.remove()
    redis?.disconnect()
    program?.remove()
    if (directory) rmSync(directory, { recursive: true, force: true })
  })

  test("the work was as hard as it should have been", () => {
    const sum = (name: string, ...parts: string[]) => total(ledger.sums, name, parts)
    expect(total(ledger.cluster.series, "cluster_transitions_total", ['"dispatched"'])).toBeGreaterThan(
      20_000,
    )
    for (const state of ["waiting", "delayed", "active"])
      expect(sum("jobs_cancelled_total", `"${state}"`), state).toBeGreaterThan(0)
    for (const cause of ["error", "timeout", "stalled"])
      expect(sum("jobs_failed_total", `"${cause}"`), cause).toBeGreaterThan(0)
    for (const type of [
      "RangeError",
      "RetryError",
      "TypeError",
      "SyntaxError",
      "TimeoutError",
      "StalledError",
    ])
      expect(sum("attempts_failed_total", `"${type}"`), type).toBeGreaterThan(0)
    // Of the two frail jobs that the victim held one was cancelled, and plain jobs were under way.
    expect(ledger.stalled.recovered).toBeGreaterThanOrEqual(1)
    expect(ledger.stalled.failed).toBe(2)
    expect(sum("attempts_released_total", '"frail"')).toBe(2)
    expect(
      seriesOf(lastWords.get("worker")!, "taskora_store_call_duration_seconds").get(launches),
    ).toBeGreaterThan(0)
    const duplicates = ["first", "second"].flatMap((name) =>
      pods
        .get(name)!
        .facts()
        .filter((fact) => fact.what === "dispatched" && !fact.stored),
    )
    expect(duplicates).toHaveLength(200)
  })

  test("only what was under way at the kill or the close reached no handler", () => {
    for (const { pod } of ledger.unseen) expect(["victim", "replaced"]).toContain(pod)
    expect(ledger.unseen.length).toBeLessThanOrEqual(2 * slots)
  })

  test("the sum of each counter, and of each histogram's count, is what happened", () => {
    expect(sorted(sumsOf(living()))).toEqual(sorted(ledger.sums))
  })

  test("each pod tells what it did itself", () => {
    const own = (series: ReadonlyMap<string, number>) =>
      sorted(
        new Map(
          [...series].filter(([key]) => toldByWhoDid.some((name) => key.startsWith(`taskora_${name}`))),
        ),
      )
    for (const [name, body] of lastWords)
      if (name !== "victim") expect(own(sumsOf([body])), name).toEqual(own(ledger.of(name)))
  })

  test("the killed pod's last scrape is what it had written, and the streams held, give or take its slots", () => {
    const told = sumsOf([lastWords.get("victim")!])
    const { before, after } = window
    const instance = before.facts.find((fact) => fact.what === "instance")!.id
    const heard = pods.get("first")!.facts()
    const ends: readonly (readonly [string, readonly Fact["what"][], string])[] = [
      ["attempts_started_total", ["start"], "active"],
      ["job_wait_duration_seconds_count", ["start"], "active"],
      ["jobs_completed_total", ["return"], "completed"],
      // Nothing is aborted yet but what ran out of time.
      ["attempts_failed_total", ["throw", "abort"], "failed"],
    ]
    for (const [name, whats, event] of ends) {
      const value = total(told, name, [])
      const written = ({ facts }: typeof before) => facts.filter(({ what }) => whats.includes(what)).length
      const streamed = ({ at }: typeof before) =>
        heard.filter((f) => f.what === "event" && f.name === event && f.instance === instance && f.at <= at)
          .length
      for (const count of [written, streamed]) {
        expect(value, name).toBeGreaterThanOrEqual(count(before) - slots)
        expect(value, name).toBeLessThanOrEqual(count(after) + slots)
      }
    }
    expect(total(told, "attempts_started_total", [])).toBeGreaterThan(400)
  })

  test("cluster.transitions of every pod, and the store's own counters, are what happened", async () => {
    const expected = sorted(ledger.cluster.series)
    for (const name of survivors)
      expect(sorted(seriesOf(lastWords.get(name)!, transitions)), name).toEqual(expected)
    const stored = await Promise.all(
      Object.keys(tasks).map(async (task) =>
        Object.entries(await stats(task))
          .filter(([, value]) => value > 0)
          .map(([transition, value]): [string, number] => [
            `${transitions}${JSON.stringify(Object.entries({ task, transition }))}`,
            value,
          ]),
      ),
    )
    expect(sorted(new Map(stored.flat()))).toEqual(expected)
  })

  test("the exporter that was killed half-way, and a second one, tell the same", () => {
    for (const body of exported)
      expect(sorted(seriesOf(body, transitions))).toEqual(sorted(ledger.cluster.series))
    expect(total(handover.before, "cluster_transitions_total", ['"started"'])).toBeGreaterThan(1000)
    for (const [series, value] of handover.before)
      expect(handover.after.get(series), series).toBeGreaterThanOrEqual(value)
    for (const body of [...exported, ...survivors.map((name) => lastWords.get(name)!)]) {
      const left = [...seriesOf(body, "taskora_queue_jobs")]
      expect(Object.fromEntries(left)).toEqual({
        'taskora_queue_jobs[["state","delayed"],["task","parked"]]': 4,
        'taskora_queue_jobs[["state","waiting"],["task","parked"]]': 6,
      })
      // The killed one's registration takes a while to expire.
      expect([2, 3]).toContain([...seriesOf(body, "taskora_workers").values()][0])
    }
  })

  test("a listener has heard of every transition once", () => {
    const heard = new Map<string, number>()
    for (const fact of pods.get("first")!.facts()) {
      if (fact.what !== "event" || fact.name === "progress") continue
      const key = `${fact.task} ${fact.name}`
      heard.set(key, (heard.get(key) ?? 0) + 1)
    }
    const happened = new Map<string, number>()
    for (const task of Object.keys(tasks)) {
      for (const [name, transitions] of Object.entries(eventOf)) {
        const parts = transitions.map((t) =>
          total(ledger.cluster.series, "cluster_transitions_total", [`"${task}"`, `"${t}"`]),
        )
        const all = parts.reduce((sum, n) => sum + n, 0)
        if (all > 0) happened.set(`${task} ${name}`, all)
      }
    }
    expect(sorted(heard)).toEqual(sorted(happened))
  })

  test("the sums agree with each other, task by task", () => {
    const sums = sumsOf(living())
    for (const task of Object.keys(tasks)) {
      const sum = (name: string, ...parts: string[]) =>
        total(sums, name, [`"task","${task}"`, ...parts.map((part) => `"${part}"`)])
      // What the victim began and did not end is in nobody's sum of attempts, but its recovery is.
      const ofVictim = pods
        .get("victim")!
        .facts()
        .filter((fact) => "task" in fact && fact.task === task)
      if (ofVictim.length === 0) {
        expect(sum("attempts_started_total"), task).toBe(
          sum("jobs_completed_total") +
            sum("attempts_failed_total") +
            sum("jobs_cancelled_total", "active") +
            sum("jobs_stalled_total", "recovered") +
            sum("attempts_released_total"),
        )
      }
      const cluster = (t: string) =>
        total(ledger.cluster.series, "cluster_transitions_total", [`"${task}"`, `"${t}"`])
      expect(cluster("started"), task).toBe(
        cluster("completed") +
          cluster("attempts_failed") +
          cluster("cancelled_active") +
          cluster("stalled_recovered") +
          cluster("released"),
      )
      expect(sum("attempts_failed_total", "will_retry", "false"), task).toBe(sum("jobs_failed_total"))
      expect(sum("attempts_failed_total", "will_retry", "true"), task).toBe(sum("jobs_retried_total"))

      const took = (outcome: string) => sum("job_duration_seconds_count", outcome)
      expect(took("completed"), task).toBe(sum("jobs_completed_total"))
      expect(took("failed") + sum("jobs_failed_total", "stalled"), task).toBe(sum("jobs_failed_total"))
      expect(took("retried"), task).toBe(sum("jobs_retried_total"))
      expect(took("released"), task).toBe(sum("attempts_released_total"))
      expect(took("lost"), task).toBe(sum("leases_lost_total"))
      expect(sum("job_wait_duration_seconds_count"), task).toBe(sum("attempts_started_total"))
      expect(sum("job_payload_size_bytes_count", "in"), task).toBe(sum("jobs_dispatched_total"))
      expect(sum("job_payload_size_bytes_count", "out"), task).toBe(sum("jobs_completed_total"))
      // Recovery cancelled one that nobody ran any more.
      const unheard = task === "frail" ? 1 : 0
      expect(took("cancelled") + unheard, task).toBe(sum("jobs_cancelled_total", "active"))
      for (const outcome of ["completed", "failed"])
        expect(sum("job_attempts_count", outcome), task).toBe(sum(`jobs_${outcome}_total`))
      // Those that had run, and were handed back and waiting as they were cancelled, took attempts too.
      const attempted = sum("job_attempts_count", "cancelled")
      expect(attempted, task).toBeGreaterThanOrEqual(sum("jobs_cancelled_total", "active"))
      expect(attempted, task).toBeLessThanOrEqual(sum("jobs_cancelled_total"))
      for (const outcome of ["completed", "failed", "cancelled"])
        expect(sum("job_total_duration_seconds_count", outcome), task).toBe(sum(`jobs_${outcome}_total`))
    }
    expect(total(sums, "stall_recovery_duration_seconds_count", [])).toBe(
      total(sums, "jobs_stalled_total", []),
    )
    expect(total(sums, "events_lag_seconds_count", [])).toBe(total(sums, "events_delivered_total", []))
  })
})

/** Counters of which nobody but the pod that ran the job, or made it, tells. */
const toldByWhoDid = [
  "jobs_dispatched",
  "jobs_rejected",
  "jobs_completed",
  "jobs_retried",
  "attempts_started",
  "attempts_released",
  "job_progress",
  "job_duration",
  "job_wait",
  "job_payload",
  "leases_lost",
  "events_",
  "worker_",
]

const eventOf: Readonly<Record<string, readonly TransitionName[]>> = {
  active: ["started"],
  completed: ["completed"],
  failed: ["attempts_failed"],
  retrying: ["retried"],
  stalled: ["stalled_recovered", "stalled_failed"],
  cancelled: ["cancelled_waiting", "cancelled_delayed", "cancelled_active"],
}

/** Of all series of a name whose labels contain all parts. */
function total(series: ReadonlyMap<string, number>, name: string, parts: readonly string[]): number {
  let sum = 0
  for (const [key, value] of series)
    if (key.startsWith(`taskora_${name}[`) && parts.every((part) => key.includes(part))) sum += value
  return sum
}
