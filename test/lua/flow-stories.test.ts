import fc from "fast-check"
import { expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import { bodyOf, type Call, type Held, type Kind, type NewJob } from "./calls.ts"
import { benchOf, heldOf, type TaskBench } from "./harness.ts"

/**
 * Any story of jobs with terms. What a call should answer is not foretold here; after each, the invariants are held, those
 * of slots, parked and expiring jobs among them, and in the end that every job comes to an end and nothing is left behind.
 */
type Step =
  | { readonly do: "enqueue"; readonly jobs: readonly NewJob[] }
  | {
      readonly do: "claim"
      readonly want: number
      readonly lease: number
      readonly version: number
      readonly singleton: boolean
    }
  | {
      readonly do: "settle"
      readonly picks: readonly { readonly at: number; readonly kind: Kind; readonly delay: number }[]
      readonly want: number
    }
  | { readonly do: "cancel"; readonly at: number; readonly keepFailed: number }
  | { readonly do: "upkeep"; readonly stalls: number; readonly keepFailed: number }
  | { readonly do: "pause"; readonly paused: boolean }
  | { readonly do: "again"; readonly back: number }
  | { readonly do: "pass"; readonly ms: number }

const limits: Readonly<Record<string, number>> = { a: 1, b: 2, "k:{1}*": 3 }

function steps(virtual: boolean): fc.Arbitrary<Step[]> {
  const short = virtual ? [5, 40] : []
  const job = fc
    .record({
      name: fc.option(fc.constantFrom("n1", "n2", "n3"), { freq: 3 }),
      delay: fc.constantFrom(0, 0, 0, virtual ? 10 : 1_000_000),
      priority: fc.constantFrom(0, 0, 0, 1, 7),
      key: fc.option(fc.constantFrom(...Object.keys(limits)), { freq: 6 }),
      ttl: fc.option(fc.constantFrom(...short, 1_000_000), { freq: 2 }),
      discard: fc.boolean(),
      version: fc.constantFrom(1, 1, 1, 1, 2),
    })
    .map(({ name, delay, priority, key, ttl, discard, version }) => ({
      id: name ?? "",
      named: name !== null,
      delay,
      priority,
      terms: [
        ...(key === null ? [] : [`c ${limits[key]},${key}`]),
        ...(ttl === null ? [] : [`t ${ttl},${discard ? 1 : 0}`]),
        ...(version > 1 ? [`v ${version}`] : []),
      ],
    }))
  const keepFailed = fc.constantFrom(100, 2, 0)
  const kind = fc.constantFrom<Kind>("completed", "completed", "failed", "retried", "cancelled", "released")
  const pick = fc.record({ at: fc.nat(100), kind, delay: fc.constantFrom(0, virtual ? 20 : 1_000_000) })
  const step: fc.Arbitrary<Step>[] = [
    fc.record({ do: fc.constant("enqueue" as const), jobs: fc.array(job, { minLength: 1, maxLength: 6 }) }),
    fc.record({
      do: fc.constant("claim" as const),
      want: fc.integer({ min: 1, max: 5 }),
      lease: fc.constantFrom(...(virtual ? [10] : []), 1_000_000),
      version: fc.constantFrom(1, 1, 2),
      singleton: fc.constantFrom(false, false, false, true),
    }),
    fc.record({
      do: fc.constant("settle" as const),
      picks: fc.array(pick, { minLength: 1, maxLength: 4 }),
      want: fc.nat(3),
    }),
    fc.record({ do: fc.constant("cancel" as const), at: fc.nat(100), keepFailed }),
    fc.record({ do: fc.constant("upkeep" as const), stalls: fc.nat(2), keepFailed }),
    fc.record({ do: fc.constant("pause" as const), paused: fc.constantFrom(true, false, false) }),
    fc.record({ do: fc.constant("again" as const), back: fc.nat(3) }),
    ...(virtual ? [fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1, 8, 50) })] : []),
  ]
  const weights = [4, 4, 4, 1, 2, 1, 1, 3]
  return fc.array(fc.oneof(...step.map((arbitrary, i) => ({ arbitrary, weight: weights[i]! }))), {
    maxLength: 60,
    size: "max",
  })
}

class Teller {
  private held: Held[] = []
  private plain = 0
  private readonly calls: Call[] = []

  constructor(
    private readonly task: TaskBench,
    private readonly pass: (ms: number) => Promise<void>,
  ) {}

  async tell(step: Step): Promise<void> {
    const { task } = this
    switch (step.do) {
      case "enqueue": {
        const jobs = step.jobs.map((job) => (job.named ? job : { ...job, id: `p${this.plain++}` }))
        return void (await this.send(task.calls.enqueue(task.next("e"), jobs)))
      }
      case "claim":
        return this.claim(task.calls.settle(task.next("s"), [], step))
      case "settle": {
        const taken = new Map<string, Held & { kind: Kind; body: string }>()
        for (const { at, kind, delay } of step.picks) {
          const held = this.held[at % Math.max(1, this.held.length)]
          if (held) taken.set(held.id, { ...held, kind, body: bodyOf(kind, delay) })
        }
        this.held = this.held.filter(({ id }) => !taken.has(id))
        return this.claim(task.calls.settle(task.next("s"), [...taken.values()], { want: step.want }))
      }
      case "cancel": {
        const ids = [...(task.state?.records.keys() ?? [])]
        const id = ids[step.at % Math.max(1, ids.length)]
        return void (id && (await this.send(task.calls.cancel(task.next("c"), id, '"no"', step.keepFailed))))
      }
      case "upkeep":
        return void (await this.send(task.calls.upkeep(task.next("u"), step)))
      case "pause":
        return void (await this.send(task.calls.pause(task.next("z"), step.paused)))
      case "again": {
        const call = this.calls.at(-1 - step.back)
        return void (call && (await task.send(call)))
      }
      case "pass":
        return this.pass(step.ms)
    }
  }

  /** Whatever is left is worked off, and then no slot, no place and no deadline is left either. */
  async end(): Promise<void> {
    const { task } = this
    await this.send(task.calls.pause(task.next("z"), false))
    for (let turn = 0; turn < 400; turn++) {
      for (const held of this.held.splice(0)) await this.settle(held)
      await this.claim(task.calls.settle(task.next("s"), [], { want: 10, version: 2 }))
      if (this.held.length > 0) continue
      const state = await task.check()
      // What is leased to nobody, or not yet due, ends by a cancel.
      const left = [...state.records].filter(([, r]) => "wdkna".includes(r!.state))
      if (left.length === 0) break
      for (const [id, r] of left) {
        if (r!.state === "a") await this.settle({ id, token: r!.token })
        else if (r!.state === "d" || r!.state === "n") await this.send(task.calls.cancel(task.next("c"), id))
      }
    }
    const { records, holders, parked, expiring } = task.state!
    const open = [...records].filter(([, r]) => "wdkna".includes(r!.state))
    expect([open, [...holders], parked, [...expiring]]).toEqual([[], [], [], []])
  }

  private async settle(held: Held): Promise<void> {
    await this.send(this.task.calls.settle(this.task.next("s"), [{ ...held, kind: "completed" }]))
  }

  private async claim(call: Call): Promise<void> {
    this.held.push(...heldOf((await this.send(call)) as never))
  }

  private async send<T>(call: Call<T>): Promise<T> {
    this.calls.push(call)
    return this.task.send(call)
  }
}

onBothHosts("any story of jobs with terms", (host) => {
  const bench = benchOf(host)
  const virtual = host.name === "embedded"
  const numRuns = Number(process.env.TASKORA_STORIES ?? (virtual ? 150 : 20))

  test(
    "keeps every invariant, and comes to an end with nothing left behind",
    async () => {
      const story = fc.asyncProperty(steps(virtual), async (all) => {
        const task = bench.task()
        const teller = new Teller(task, (ms) => bench.pass(ms))
        try {
          for (const step of all) await teller.tell(step)
          await teller.end()
        } finally {
          await task.forget()
        }
      })
      await fc.assert(story, { numRuns })
    },
    60_000 + 1000 * numRuns,
  )
})
