import type { Held } from "./calls.ts"
import type { Bench, TaskBench } from "./harness.ts"
import { idOf, type TaskState } from "./task-state.ts"

/** The job that a matrix looks at; its id holds what keys and patterns could trip over. */
export const subject = "job:{1}*?"
const job = { id: subject, named: true, data: '{"x":1}' }
const never = "99"
const shortLease = 1

type Arrange = (task: TaskBench, bench: Bench) => Promise<string | undefined>

async function dispatched(task: TaskBench, options: { delay?: number; priority?: number } = {}) {
  await task.fresh(task.calls.enqueue(task.next("arrange"), [{ ...job, ...options }]))
  return undefined
}

async function claimed(task: TaskBench, lease?: number): Promise<Held> {
  await dispatched(task)
  const [held] = await task.claim(1, lease)
  return held!
}

async function settled(
  task: TaskBench,
  kind: "completed" | "failed" | "cancelled" | "released",
  keep = 100,
): Promise<string> {
  const held = await claimed(task)
  const options = { keepCompleted: keep, keepFailed: keep }
  await task.fresh(task.calls.settle(task.next("arrange"), [{ ...held, kind }], options))
  return String(held.token)
}

async function retried(task: TaskBench, delay: number): Promise<string> {
  const held = await claimed(task)
  const body = `${delay}\n"it broke"\n{"message":"it broke"}`
  await task.fresh(task.calls.settle(task.next("arrange"), [{ ...held, kind: "retried", body }]))
  return String(held.token)
}

async function expired(task: TaskBench, bench: Bench): Promise<string> {
  const { token } = await claimed(task, shortLease)
  await bench.pass(shortLease + 2)
  return String(token)
}

async function asked<T>(task: TaskBench, token: T): Promise<T> {
  await task.fresh(task.calls.cancel(task.next("arrange"), subject, '"asked for"'))
  return token
}

async function recovered(task: TaskBench, bench: Bench): Promise<string> {
  const token = await expired(task, bench)
  await task.fresh(task.calls.upkeep(task.next("arrange")))
  return token
}

async function damage(task: TaskBench, text: string) {
  task.damaged.add(subject)
  await task.command("SET", `${task.keys.base}job:${subject}`, text)
}

/** Every state that a job can be in, and how it gets there. Each answers the token that its last holder had. */
export const states = {
  absent: async () => undefined,
  waiting: (task) => dispatched(task),
  ranked: (task) => dispatched(task, { priority: 5 }),
  delayed: (task) => dispatched(task, { delay: 600_000 }),
  due: async (task, bench) => {
    await dispatched(task, { delay: 1 })
    await bench.pass(2)
    return undefined
  },
  retrying: (task) => retried(task, 600_000),
  "retried at once": (task) => retried(task, 0),
  active: async (task) => String((await claimed(task)).token),
  requested: async (task) => asked(task, String((await claimed(task)).token)),
  expired,
  "expired, requested": async (task, bench) => asked(task, await expired(task, bench)),
  recovered,
  "handed back": (task) => settled(task, "released"),
  "granted again": async (task, bench) => {
    const token = await recovered(task, bench)
    await task.claim()
    return token
  },
  completed: (task) => settled(task, "completed"),
  failed: (task) => settled(task, "failed"),
  "given another life": async (task) => {
    const token = await settled(task, "failed")
    await task.fresh(task.calls.revive(task.next("arrange"), [{ id: subject }]))
    return token
  },
  cancelled: (task) => settled(task, "cancelled"),
  tombstone: async (task) => {
    await dispatched(task)
    return asked(task, undefined)
  },
  forgotten: (task) => settled(task, "completed", 0),
  "forgotten tombstone": async (task) => {
    await dispatched(task)
    await task.fresh(task.calls.cancel(task.next("arrange"), subject, "", 0))
    return undefined
  },
  "damaged, waiting": async (task) => {
    await dispatched(task)
    await damage(task, "w,,,")
    return undefined
  },
  "damaged, ranked": async (task) => {
    await dispatched(task, { priority: 5 })
    await damage(task, "nonsense")
    return undefined
  },
  "damaged, due": async (task, bench) => {
    await dispatched(task, { delay: 1 })
    await damage(task, "d,,,")
    await bench.pass(2)
    return undefined
  },
  "damaged, active": async (task) => {
    const { token } = await claimed(task)
    await damage(task, `a,${token},`)
    return String(token)
  },
  "damaged, expired": async (task, bench) => {
    const token = await expired(task, bench)
    await damage(task, "nonsense")
    return token
  },
} as const satisfies Record<string, Arrange>

export type State = keyof typeof states
export const stateNames = Object.keys(states) as State[]

/** Puts the subject into a state. */
export async function arrange(task: TaskBench, bench: Bench, state: State): Promise<Held> {
  const arranged: Arrange = states[state]
  return { id: subject, token: (await arranged(task, bench)) ?? never }
}

const words: Readonly<Record<string, string>> = {
  w: "waiting",
  d: "delayed",
  a: "active",
  c: "completed",
  f: "failed",
  x: "cancelled",
}

/** Where the subject is now, in a word. */
export function whereIs(state: TaskState): string {
  const fields = state.records.get(subject)
  if (fields) return words[fields.state]!
  if (!state.records.has(subject)) return "gone"
  for (const name of ["waiting", "priority", "delayed", "active"] as const)
    for (const place of state[name].keys()) {
      const entry = typeof place === "number" ? state.waiting[place]! : place
      if (idOf(entry) === subject) return `damaged in ${name}`
    }
  return "damaged and lost"
}
