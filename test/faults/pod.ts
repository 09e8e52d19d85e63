import { setTimeout as sleep } from "node:timers/promises"
import {
  type Attempt,
  type Context,
  createTaskora,
  type JobHandle,
  type Observer,
  type Task,
  type Transition,
} from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { Load } from "./load.ts"
import { Diary } from "./observations.ts"
import type { Order, PodConfig } from "./pods.ts"
import { type FaultTask, optionsOf, perform, taskNames, type Work } from "./work.ts"

// A process as users write one. Nothing catches what must not be thrown: an unhandled rejection is written down and ends it.
const config = JSON.parse(process.argv[2]!) as PodConfig
const diary = new Diary(config.diary)
for (const event of ["unhandledRejection", "uncaughtException"] as const)
  process.on(event, (error: unknown) => {
    const stack = error instanceof Error ? error.stack : undefined
    diary.note({ what: "unhandled", message: `${event}: ${stack ?? String(error)}` })
    process.exit(70)
  })
// Jobs fail on purpose.
console.error = () => {}

const open = new Map<string, Attempt>()
/** Set where the next claimed job is to find its process dead. */
let dieWhenClaimed = false
let runs = 0
let live = 0
let instance = ""

const observer: Observer = {
  name: "diary",
  source(source) {
    instance = source.instance
    diary.note({ what: "began", instance, pid: process.pid })
  },
  transition(transition) {
    noteTransition(transition)
    if (transition.kind === "active") {
      const { attempt } = transition
      if (dieWhenClaimed) {
        diary.note({ what: "dying", window: "claimed", task: attempt.task, id: attempt.id })
        process.kill(process.pid, "SIGKILL")
      }
      open.set(`${attempt.task} ${attempt.id}`, attempt)
    }
  },
}

function noteTransition(transition: Transition): void {
  const did = (kind: string, task: string, id: string, count = 1) =>
    diary.note({ what: "did", kind, task, id, count })
  switch (transition.kind) {
    case "dispatched":
      did("dispatched", transition.dispatch.task, transition.dispatch.id ?? "", transition.stored)
      break
    case "active":
    case "completed":
    case "retrying":
    case "cancelled":
    case "released":
    case "lost":
      did(transition.kind, transition.attempt.task, transition.attempt.id)
      break
    case "failed":
      did(transition.willRetry ? "failed" : "failed for good", transition.attempt.task, transition.attempt.id)
      break
    case "removed":
      did(`removed ${transition.state}`, transition.task, transition.id)
      break
    case "stalled":
      did(`stalled ${transition.action}`, transition.task, transition.id)
      break
  }
}

const app = createTaskora({
  adapter: redisAdapter(config.url, { prefix: config.prefix }),
  observers: [observer],
  // Nothing is forgotten, so that the final state can be held against everything that was said.
  retention: {
    completed: { maxAge: "10h", maxItems: 1_000_000 },
    failed: { maxAge: "10h", maxItems: 1_000_000 },
  },
  events: { maxLength: config.streamLength ?? 1_000_000 },
})

app.on("worker:error", (error) => {
  if (error.kind === "events_lost") {
    const { task, lost } = error as unknown as { task: string; lost: number }
    diary.note({ what: "gap", task, lost })
  } else diary.note({ what: "trouble", kind: error.kind ?? "", message: error.message })
})

async function handle(task: FaultTask, work: Work, ctx: Context): Promise<unknown> {
  const run = `${instance}.${++runs}`
  const claimed = open.get(`${task} ${ctx.id}`)?.claimedAt ?? 0
  diary.note({ what: "run", task, id: ctx.id, attempt: ctx.attempt, run, claimed })
  ctx.signal.addEventListener("abort", () => {
    const { code = "OTHER" } = ctx.signal.reason as { code?: string }
    diary.note({ what: "aborted", run, code })
  })
  live++
  try {
    const done = await perform(work, ctx, run, diary)
    diary.note({ what: "ended", run, how: "returned" })
    return done
  } catch (error) {
    diary.note({ what: "ended", run, how: "threw" })
    throw error
  } finally {
    live--
  }
}

const tasks = Object.fromEntries(
  taskNames.map((name) => {
    if (config.role !== "worker") return [name, app.task<Work, unknown>(name)]
    const handler = (work: unknown, ctx: Context) => handle(name, work as Work, ctx)
    return [name, app.task(name, { ...optionsOf(name, config.leaseMs), handler })]
  }),
) as unknown as Readonly<Record<FaultTask, Task<Work, unknown>>>

const load = new Load(tasks, diary, config)

if (config.role === "listener")
  for (const name of [
    "active",
    "progress",
    "completed",
    "failed",
    "retrying",
    "stalled",
    "cancelled",
  ] as const)
    app.on(`task:${name}`, ({ task, id }, { seq }) => diary.note({ what: "heard", task, name, id, seq }))

async function close(timeout: number): Promise<void> {
  load.stop()
  diary.note({ what: "closing", timeout, runs: live })
  const from = performance.now()
  await app.close({ timeout })
  diary.note({ what: "closed", ms: performance.now() - from })
  clearInterval(pulse)
  process.removeListener("message", obey)
  process.disconnect?.()
  // Handlers that go on are the user's; what is asked is what the package leaves behind.
  while (live > 0) await sleep(20)
  await sleep(20)
  const harmless = new Set(["PipeWrap", "TTYWrap", "FSReqCallback", "TickObject", "Immediate"])
  const resources = process.getActiveResourcesInfo().filter((name) => !harmless.has(name))
  diary.note({ what: "left", resources })
}

function obey(message: unknown): void {
  const order = message as Order
  if (order.op === "load") {
    if (order.on) load.start()
    else load.stop()
  } else if (order.op === "dispatch") load.dispatch(order)
  else if (order.op === "die when claimed") dieWhenClaimed = true
  else if (order.op === "block") {
    diary.note({ what: "blocked", ms: order.ms })
    for (const end = performance.now() + order.ms; performance.now() < end; );
    diary.note({ what: "blocked", ms: 0 })
  } else if (order.op === "close") void close(order.timeout)
}
process.on("message", obey)
process.once("SIGTERM", () => void close(config.closeMs))

const pulse = setInterval(() => {
  const { user, system } = process.cpuUsage()
  diary.note({ what: "pulse", cpu: user + system })
}, 500)

/** Lives that end before they have begun, each in its way; the code of what start() said is written down. */
async function begin(): Promise<void> {
  const refused = (of: string) => (error: unknown) =>
    diary.note({ what: "refusal", of, code: (error as { code?: string }).code ?? String(error) })
  const starting = () => (config.role === "worker" ? app.start() : app.listen())
  switch (config.life) {
    case "close before start":
      await close(500)
      await starting().catch(refused("start"))
      return
    case "close during start":
      void starting().catch(refused("start"))
      await close(500)
      return
    case "close twice":
      await starting()
      diary.note({ what: "ready" })
      await Promise.all([close(500), app.close({ timeout: 100 })])
      await app.close()
      return
    case "close without redis":
      await starting().catch(refused("start"))
      await close(500)
      return
    default:
      for (;;) {
        try {
          await starting()
          break
        } catch (error) {
          refused("start")(error)
          await sleep(100)
        }
      }
      diary.note({ what: "ready" })
      if (config.loaded) load.start()
  }
}
void begin()

export type Handle = JobHandle<unknown>
