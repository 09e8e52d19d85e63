import fc from "fast-check"
import { bodyOf, type Dead, type Held, type Kind } from "./calls.ts"
import type { Model } from "./model.ts"
import type { CallOf, ModelCall } from "./model-calls.ts"
import type { ModelGate } from "./model-gates.ts"
import type { Real } from "./model-run.ts"

export type Command = fc.AsyncCommand<Model, Real>

/** How a call meets the server: as it should, or not at all now (it may arrive late, by a `resend`). */
export const delivery = fc.oneof(
  { weight: 9, arbitrary: fc.constant("sent") },
  { weight: 1, arbitrary: fc.constant("held up") },
)
export const index = fc.nat(1000)
const reason = fc.constantFrom('"first"', '"second"', "")

/** What depends on the host: virtual time can be moved, real time cannot, so there nothing may fall due. */
export interface Times {
  readonly virtual: boolean
}

export function command(
  name: string,
  detail: unknown,
  run: (model: Model, real: Real) => Promise<void>,
): Command {
  return { check: () => true, run, toString: () => `${name}(${JSON.stringify(detail)})` }
}

export async function deliver(real: Real, model: Model, call: ModelCall, how: string): Promise<void> {
  real.history.push(call)
  if (how === "sent") await real.send(model, call)
}

export function commands({ virtual }: Times): fc.Arbitrary<Command>[] {
  const delay = virtual ? fc.constantFrom(0, 0, 5, 50) : fc.constantFrom(0, 1_000_000)
  const lease = virtual ? fc.constantFrom(10, 60, 1_000_000) : fc.constant(1_000_000)
  const age = virtual ? fc.constantFrom(1_000_000, 20) : fc.constant(1_000_000)
  const keep = fc.constantFrom(100, 2, 0)
  const all = [
    enqueue(delay, virtual),
    launch(lease),
    ask(),
    settle(delay, lease, keep),
    settle(delay, lease, keep),
    renew(lease),
    progress(),
    log(),
    cancel(keep),
    upkeep(age, keep),
    revive(),
    discard(),
    clean(age),
    pause(),
    resend(),
    resend(),
    fc.constant(command("flushScripts", null, (_model, real) => real.flushScripts())),
  ]
  return virtual ? [...all, advance(), advance()] : all
}

/** Long enough to lie in a key of its own. */
const longData = JSON.stringify("l".repeat(1100))

/** Few keys, so that they meet; small windows, so that virtual time gets past them. */
function gates({ virtual, keep }: { virtual: boolean; keep: number }): fc.Arbitrary<ModelGate> {
  const key = fc.constantFrom("k", "l")
  const ms = virtual ? fc.constantFrom(5, 40) : fc.constant(1_000_000)
  return fc.oneof(
    fc.record({ kind: fc.constant("throttle" as const), key, max: fc.constantFrom(1, 2, 3), windowMs: ms }),
    fc
      .record({
        key,
        delayMs: ms,
        maxWaitMs: fc.option(virtual ? fc.constantFrom(5, 60) : ms, { nil: undefined }),
      })
      .map(({ maxWaitMs, ...rest }) => ({
        kind: "debounce" as const,
        ...rest,
        ...(maxWaitMs !== undefined && { maxWaitMs }),
        keep,
      })),
    fc.record({
      kind: fc.constant("dedupe" as const),
      key,
      states: fc.constantFrom("wda", "wda", "w", "d", "a", "wd"),
    }),
  )
}

function enqueue(delay: fc.Arbitrary<number>, virtual: boolean): fc.Arbitrary<Command> {
  const ms = virtual ? fc.constantFrom(5, 40, 300, 1_000_000) : fc.constant(1_000_000)
  const ttl = fc.record({ ms, discard: fc.boolean() })
  const job = (keep: number) =>
    fc.record({
      gate: fc.option(gates({ virtual, keep }), { freq: 2, nil: undefined }),
      name: fc.option(fc.constantFrom("n1", "n2", "n10", "{n}*:"), { freq: 2 }),
      delay,
      priority: fc.constantFrom(0, 0, 0, 1, 7),
      version: fc.constantFrom(1, 1, 1, 2, 3),
      // One limit a key: where limits differ under a key, when a job with the higher one is let go is not foretold yet.
      key: fc.option(fc.constantFrom("1,a", "1,a", "2,b", "3,k:{1}*"), { freq: 3, nil: undefined }),
      ttl: fc.option(ttl, { freq: 2, nil: undefined }),
      data: fc.oneof(
        { weight: 3, arbitrary: fc.json({ maxDepth: 1 }) },
        { weight: 1, arbitrary: fc.constant(longData) },
      ),
    })
  // All replaced jobs of a call are kept by the rule of one task.
  const jobs = fc.constantFrom(100, 2, 0).chain((keep) => fc.array(job(keep), { minLength: 1, maxLength: 4 }))
  const detail = fc.record({ lane: fc.nat(1), jobs, delivery })
  return detail.map((chosen) =>
    command("enqueue", chosen, async (model, real) => {
      const jobs = chosen.jobs.map(({ name, gate, version, key, ttl, ...rest }) => {
        const terms = [
          ...(version > 1 ? [`v ${version}`] : []),
          ...(key ? [`c ${key}`] : []),
          ...(ttl ? [`t ${ttl.ms},${ttl.discard ? 1 : 0}`] : []),
        ]
        const job = { ...rest, terms, ...(gate && { gate }) }
        const named = name !== null && !gate
        return named ? { id: name, named, ...job } : { id: `p${real.plain++}`, ...job }
      })
      const at = real.next(`e${chosen.lane}`)
      await deliver(real, model, { script: "enqueue", at, jobs }, chosen.delivery)
    }),
  )
}

function launch(lease: fc.Arbitrary<number>): fc.Arbitrary<Command> {
  const detail = fc.record({ lane: fc.nat(1), data: fc.constantFrom("1", longData), lease, delivery })
  return detail.map((chosen) =>
    command("launch", chosen, async (model, real) => {
      const at = real.next(`l${chosen.lane}`)
      const { data, lease: ms } = chosen
      const id = `p${real.plain++}`
      await deliver(real, model, { script: "launch", at, id, data, lease: ms }, chosen.delivery)
    }),
  )
}

/** Asks what became of a launch, whose original may still be on its way. */
function ask(): fc.Arbitrary<Command> {
  return fc.record({ back: fc.nat(2), delivery }).map((chosen) =>
    command("ask", chosen, async (model, real) => {
      const launches = real.history.filter((call): call is CallOf<"launch"> => call.script === "launch")
      const call = launches.at(-1 - chosen.back)
      if (call) await deliver(real, model, { ...call, asking: true }, chosen.delivery)
    }),
  )
}

const kinds: readonly Kind[] = [
  "completed",
  "completed",
  "failed",
  "retried",
  "cancelled",
  "released",
  "progress",
]

function settle(
  delay: fc.Arbitrary<number>,
  lease: fc.Arbitrary<number>,
  keep: fc.Arbitrary<number>,
): fc.Arbitrary<Command> {
  const pick = fc.record({
    index,
    kind: fc.constantFrom(...kinds),
    delay,
    run: fc.constantFrom("", "", "00-r"),
    old,
  })
  const detail = fc.record({
    lane: fc.nat(1),
    picks: fc.array(pick, { maxLength: 3 }),
    options: fc.record({
      want: fc.nat(4),
      lease,
      keepCompleted: keep,
      keepFailed: keep,
      version: fc.constantFrom(1, 1, 2, 3),
    }),
    delivery,
  })
  return detail.map((chosen) =>
    command("settle", chosen, async (model, real) => {
      const items = chosen.picks.flatMap(({ kind, delay, run, ...which }) => {
        const held = holder(which, model, real)
        const item = (kind: Kind) => ({ ...held, kind, run, delay, body: bodyOf(kind, delay) })
        // A report of progress never comes without the outcome that it precedes.
        return kind === "progress" ? [item("progress"), item("completed")] : [item(kind)]
      })
      const at = real.next(`s${chosen.lane}`)
      await deliver(
        real,
        model,
        { script: "settle", at, items: once(items), options: chosen.options },
        chosen.delivery,
      )
    }),
  )
}

/** Sometimes a token that was granted long ago. */
export const old = fc.oneof(
  { weight: 5, arbitrary: fc.constant(false) },
  { weight: 1, arbitrary: fc.constant(true) },
)

export function holder(which: { index: number; old: boolean }, model: Model, real: Real): Held {
  const active = model.in("active").map(({ id, token }) => ({ id, token: String(token) }))
  const from = which.old || active.length === 0 ? real.granted : active
  return from[which.index % Math.max(1, from.length)] ?? { id: "nobody", token: "1" }
}

/** Drops repeated reports: the model has no words for a run that reports again after its end. */
function once<T extends Held & { readonly kind: Kind }>(items: readonly T[]): T[] {
  const seen = new Set<string>()
  return items.filter(({ id, token, kind }) => {
    const name = `${id} ${token} ${kind === "progress" ? "progress" : "end"}`
    return seen.has(name) ? false : seen.add(name)
  })
}

function renew(lease: fc.Arbitrary<number>): fc.Arbitrary<Command> {
  const pick = fc.record({ index, old, run: fc.constantFrom("", "00-n") })
  const detail = fc.record({ picks: fc.array(pick, { minLength: 1, maxLength: 3 }), lease, delivery })
  return detail.map((chosen) =>
    command("renew", chosen, async (model, real) => {
      const leases = chosen.picks.map(({ run, ...which }) => ({ ...holder(which, model, real), run }))
      const call: ModelCall = { script: "renew", at: real.next("r"), leases, lease: chosen.lease }
      await deliver(real, model, call, chosen.delivery)
    }),
  )
}

function progress(): fc.Arbitrary<Command> {
  const pick = fc.record({ index, old, value: fc.constantFrom("10", '{"step":"ü"}') })
  const detail = fc.record({ picks: fc.array(pick, { minLength: 1, maxLength: 3 }), delivery })
  return detail.map((chosen) =>
    command("progress", chosen, async (model, real) => {
      const reports = chosen.picks.map(({ value, ...which }) => ({ ...holder(which, model, real), value }))
      await deliver(real, model, { script: "progress", at: real.next("p"), reports }, chosen.delivery)
    }),
  )
}

function log(): fc.Arbitrary<Command> {
  const lines = fc.array(fc.constantFrom('"a"', '"zwei\u00fc"'), { minLength: 1, maxLength: 3 })
  return fc.record({ index, old, lines, most: fc.constant(3), delivery }).map((chosen) =>
    command("log", chosen, async (model, real) => {
      const { lines, most } = chosen
      const held = holder(chosen, model, real)
      const call: ModelCall = { script: "log", at: real.next("g"), held, lines, most, full: '"full"' }
      await deliver(real, model, call, chosen.delivery)
    }),
  )
}

function cancel(keep: fc.Arbitrary<number>): fc.Arbitrary<Command> {
  return fc.record({ index, reason, keepFailed: keep, delivery }).map((chosen) =>
    command("cancel", chosen, async (model, real) => {
      const ids = [...model.jobs.keys(), "nobody"]
      const id = ids[chosen.index % ids.length]!
      const { reason, keepFailed } = chosen
      const call: ModelCall = { script: "cancel", at: real.next("c"), id, reason, keepFailed }
      await deliver(real, model, call, chosen.delivery)
    }),
  )
}

function upkeep(age: fc.Arbitrary<number>, keepFailed: fc.Arbitrary<number>): fc.Arbitrary<Command> {
  const options = fc.record({ stalls: fc.nat(2), keepFailed, ageCompleted: age, ageFailed: age })
  return fc.record({ options, lane: fc.nat(1), delivery }).map((chosen) =>
    command("upkeep", chosen, async (model, real) => {
      const at = real.next(`u${chosen.lane}`)
      await deliver(
        real,
        model,
        { script: "upkeep", at, options: { ...chosen.options, version: 1 } },
        chosen.delivery,
      )
    }),
  )
}

/** Failed jobs mostly, and the failure of an earlier life sometimes. */
const dead = fc.record({
  index,
  anybody: fc.constantFrom(false, false, true),
  when: fc.constantFrom(-1, 0, 7),
})
const someDead = fc.record({ picks: fc.array(dead, { minLength: 1, maxLength: 3 }), delivery })

function buried(
  model: Model,
  picks: readonly { index: number; anybody: boolean; when: number }[],
): readonly Dead[] {
  return picks.map(({ index, anybody, when }) => {
    const failed = model.in("failed")
    const from = anybody || failed.length === 0 ? [...model.jobs.values()] : failed
    const job = from[index % Math.max(1, from.length)]
    if (!job) return { id: "nobody" }
    return when < 0 ? { id: job.id } : { id: job.id, finished: job.finished + when }
  })
}

function revive(): fc.Arbitrary<Command> {
  return someDead.map((chosen) =>
    command("revive", chosen, async (model, real) => {
      const jobs = buried(model, chosen.picks)
      await deliver(real, model, { script: "revive", at: real.next("v"), jobs }, chosen.delivery)
    }),
  )
}

function discard(): fc.Arbitrary<Command> {
  return someDead.map((chosen) =>
    command("discard", chosen, async (model, real) => {
      const jobs = buried(model, chosen.picks)
      await deliver(real, model, { script: "discard", at: real.next("v"), jobs }, chosen.delivery)
    }),
  )
}

function clean(age: fc.Arbitrary<number>): fc.Arbitrary<Command> {
  const detail = fc.record({
    state: fc.constantFrom("completed" as const, "failed" as const, "cancelled" as const),
    age,
    limit: fc.constantFrom(1, 500),
    delivery,
  })
  return detail.map(({ delivery: how, ...chosen }) =>
    command("clean", chosen, async (model, real) => {
      await deliver(real, model, { script: "clean", at: real.next("v"), ...chosen }, how)
    }),
  )
}

/** A task goes on more often than it is paused, or else nothing would run. */
function pause(): fc.Arbitrary<Command> {
  return fc.record({ paused: fc.constantFrom(true, false, false), delivery }).map((chosen) =>
    command("pause", chosen, async (model, real) => {
      const call: ModelCall = { script: "pause", at: real.next("z"), paused: chosen.paused }
      await deliver(real, model, call, chosen.delivery)
    }),
  )
}

/** Sends any earlier call again, word for word; late ones of those that were held up come for the first time. */
function resend(): fc.Arbitrary<Command> {
  return fc.record({ back: fc.nat(8) }).map(({ back }) =>
    command("resend", back, async (model, real) => {
      const call = real.history.at(-1 - (back % Math.max(1, real.history.length)))
      if (call) await real.send(model, call)
    }),
  )
}

function advance(): fc.Arbitrary<Command> {
  return fc.constantFrom(1, 5, 30, 200).map((ms) => command("advance", ms, (_model, real) => real.pass(ms)))
}
