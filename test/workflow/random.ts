import { type AnyComposition, type App, type Context, chord, group } from "../../src/index.ts"

/** A whole number below `n`. */
export type Dice = (n: number) => number

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function dice(seed: number): Dice {
  let a = seed >>> 0
  return (n) => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
}

/** What a composition of the tasks below gives for an input, and whether it can complete. */
export interface Plan {
  readonly composition: AnyComposition
  readonly nodes: number
  readonly fails: boolean
  value(input: unknown): unknown
}

export interface Seen {
  /** By workflow: the jobs that began, once for each attempt. */
  readonly starts: Map<string, string[]>
  /** Jobs that began although their workflow had ended. */
  readonly late: string[]
  readonly ended: Set<string>
}

/** Declares tasks whose results say how they came about. */
export function declareTasks(app: App, seen: Seen = { starts: new Map(), late: [], ended: new Set() }) {
  const begin = (ctx: Context) => {
    const id = ctx.id.slice(0, ctx.id.indexOf(":"))
    const starts = seen.starts.get(id) ?? []
    seen.starts.set(id, starts)
    starts.push(`${ctx.id} ${ctx.attempt}`)
    if (seen.ended.has(id)) seen.late.push(ctx.id)
  }
  const stall = { interval: "2s", maxCount: 20 } as const
  const options = { concurrency: 10, stall, retry: { attempts: 3, delay: 1, jitter: false } } as const
  const steady = app.task<unknown, unknown>("steady", {
    ...options,
    handler: async (data, ctx) => {
      begin(ctx)
      return { steady: data ?? null }
    },
  })
  const flaky = app.task<unknown, unknown>("flaky", {
    ...options,
    handler: async (data, ctx) => {
      begin(ctx)
      if (ctx.attempt < 3) throw new Error("not yet")
      return { flaky: data ?? null }
    },
  })
  const broken = app.task<unknown, unknown>("broken", {
    ...options,
    retry: { attempts: 2, delay: 1 },
    handler: async (_data, ctx) => {
      begin(ctx)
      throw new Error("never")
    },
  })
  const slow = app.task<unknown, unknown>("slow", {
    ...options,
    handler: async (data, ctx) => {
      begin(ctx)
      await new Promise((resolve) => setTimeout(resolve, 2))
      return { slow: data ?? null }
    },
  })
  return { seen, tasks: { steady, flaky, broken, slow } }
}

type Tasks = ReturnType<typeof declareTasks>["tasks"]

/** A composition at random, of at most `depth` levels. `bound`: nothing stands before it. */
export function randomPlan(roll: Dice, tasks: Tasks, depth: number, failing: number, bound: boolean): Plan {
  const kind = depth === 0 ? 0 : roll(5)
  if (kind <= 1) return randomJob(roll, tasks, failing, bound)
  if (kind === 2) {
    const steps = [
      randomPlan(roll, tasks, depth - 1, failing, bound),
      ...Array.from({ length: 1 + roll(3) }, () => randomPlan(roll, tasks, depth - 1, failing, false)),
    ]
    const [head, ...rest] = steps.map(({ composition }) => composition)
    return {
      ...sum(steps),
      composition: rest.reduce((all, next) => (all as Pipeable).pipe(next), head!),
      value: (input) => steps.reduce((value, step) => step.value(value), input),
    }
  }
  const members = Array.from({ length: roll(4) }, () => randomPlan(roll, tasks, depth - 1, failing, bound))
  const side: Plan = {
    ...sum(members),
    composition: group(...members.map(({ composition }) => composition)),
    value: (input) => members.map((member) => member.value(input)),
  }
  if (kind === 3) return side
  const callback = randomPlan(roll, tasks, depth - 1, failing, false)
  return {
    ...sum([side, callback]),
    composition: chord(
      members.map(({ composition }) => composition),
      callback.composition as never,
    ) as AnyComposition,
    value: (input) => callback.value(side.value(input)),
  }
}

interface Pipeable {
  pipe(next: unknown): AnyComposition
}

function sum(plans: readonly Plan[]): Pick<Plan, "nodes" | "fails"> {
  return {
    nodes: plans.reduce((all, { nodes }) => all + nodes, 0),
    fails: plans.some(({ fails }) => fails),
  }
}

function randomJob(roll: Dice, tasks: Tasks, failing: number, bound: boolean): Plan {
  const own = bound || roll(6) === 0
  const name = roll(100) < failing ? "broken" : (["steady", "steady", "flaky", "slow"] as const)[roll(4)]!
  const data = roll(1000)
  const composition = (own ? tasks[name].s(data) : tasks[name].s()) as AnyComposition
  return {
    composition,
    nodes: 1,
    fails: name === "broken",
    // As JSON carries it.
    value: (input) => ({ [name]: own ? data : (input ?? null) }),
  }
}
