import { setTimeout as sleep } from "node:timers/promises"
import { payload } from "../harness/load.ts"
import type { Meter } from "../harness/meter.ts"
import { quantile } from "../harness/statistics.ts"
import { Ledger, untilCounts } from "../harness/wait.ts"
import { both, type Measure, type Role, type Row, type Sample, type Stage, versus } from "../row.ts"

const jobsPerSecond = 200
const jobs = 1_400

/** Jobs that come alone: from the call that dispatches until the handler begins, in one process. */
async function measure(stage: Stage): Promise<Sample> {
  const total = stage.size(jobs)
  const warm = Math.ceil(total / 7)
  const ledger = new Ledger(total)
  const sent = new Float64Array(total)
  const latencies: number[] = []
  const session = await stage.open()
  const queue = session.declare("bench", {
    concurrency: 10,
    async handle(data) {
      if (data.i >= warm) latencies.push(performance.now() - sent[data.i]!)
      ledger.add(data)
    },
  })
  await session.start()
  const dispatch = async (i: number) => {
    sent[i] = performance.now()
    await queue.add(payload(i))
  }
  await paced(0, warm, dispatch)
  const before = await stage.meter.spent()
  const cpu = process.cpuUsage()
  await paced(warm, total, dispatch)
  await ledger.complete()
  const after = await stage.meter.spent()
  const { user, system } = process.cpuUsage(cpu)
  await untilCounts(queue, { waiting: 0, active: 0, failed: 0, completed: 100 })
  const timed = total - warm
  return {
    ...quantiles(latencies),
    roundTrip: await roundTrip(stage.meter, Math.min(timed, 400)),
    commands: (after.commands - before.commands) / timed,
    redisUs: (after.cpuUs - before.cpuUs) / timed,
    clientUs: (user + system) / timed,
  }
}

/** Ms of the system's clock, which all processes share, with fractions. */
function wallClock(): number {
  return performance.timeOrigin + performance.now()
}

/** A worker in a process of its own. */
async function worker(stage: Stage): Promise<Role> {
  const total = stage.size(jobs)
  const ledger = new Ledger(total)
  const latencies: number[] = []
  const session = await stage.open()
  session.declare("bench", {
    concurrency: 10,
    async handle(data) {
      if (data.i >= total / 7) latencies.push(wallClock() - Number(data.pad))
      ledger.add(data)
    },
  })
  await session.start()
  return {
    async latencies(): Promise<Sample> {
      await ledger.complete()
      return quantiles(latencies)
    },
  }
}

async function measureApart(stage: Stage): Promise<Sample> {
  const helper = await stage.helper("worker")
  const queue = (await stage.open()).declare("bench")
  await paced(0, stage.size(jobs), async (i) => {
    await queue.add({ i, pad: String(wallClock()) })
  })
  return helper.ask<Sample>("latencies")
}

function quantiles(latencies: readonly number[]): Sample {
  return {
    p50: quantile(latencies, 0.5),
    p95: quantile(latencies, 0.95),
    p99: quantile(latencies, 0.99),
  }
}

/** Calls for each number at its time, whether or not earlier ones have ended; resolves when all have. */
async function paced(from: number, to: number, call: (i: number) => Promise<void>): Promise<void> {
  const start = performance.now()
  const calls: Promise<void>[] = []
  for (let i = from; i < to; i++) {
    const wait = start + ((i - from) * 1000) / jobsPerSecond - performance.now()
    if (wait > 0) await sleep(wait)
    calls.push(call(i))
  }
  await Promise.all(calls)
}

/** Median of EVALSHA of nothing, called at the same pace. */
async function roundTrip({ client }: Meter, calls: number): Promise<number> {
  const sha = (await client.script("LOAD", "return 1")) as string
  const times: number[] = []
  await paced(0, calls, async () => {
    const start = performance.now()
    await client.evalsha(sha, 0)
    times.push(performance.now() - start)
  })
  return quantile(times, 0.5)
}

const times: readonly Measure[] = [
  { name: "p50", unit: "ms p50", better: "less" },
  { name: "p95", unit: "ms p95", better: "less" },
  { name: "p99", unit: "ms p99", better: "less" },
]

export const latencyApart: Row = {
  name: "latency-apart",
  title: `latency at ${jobsPerSecond} jobs/s, from dispatch to a handler in another process`,
  entries: both,
  measures: times,
  compare: [versus("p50"), versus("p95"), versus("p99")],
  measure: measureApart,
  roles: { worker },
}

export const latency: Row = {
  name: "latency",
  title: `latency at ${jobsPerSecond} jobs/s, from dispatch to handler, in one process`,
  entries: both,
  measures: [
    ...times,
    { name: "roundTrip", unit: "ms per bare EVALSHA", better: "neither" },
    { name: "commands", unit: "Redis commands per job", better: "less" },
    { name: "redisUs", unit: "us of Redis per job", better: "less" },
    { name: "clientUs", unit: "us of Node per job", better: "less" },
  ],
  compare: [
    versus("p50", { most: 0.5 }),
    versus("p95"),
    versus("p99", { most: 0.6 }),
    { measure: "p50", of: "taskora", to: "taskora", toMeasure: "roundTrip", target: { most: 3 } },
    versus("commands", { most: 0.4 }),
  ],
  measure,
}
