import { expect } from "vitest"
import type { ClaimedJob, LaunchReply } from "../../src/store/replies.ts"
import type { unfold } from "../../src/store/stream.ts"
import type { Held, Receipt } from "./calls.ts"
import type { Bench, TaskBench } from "./harness.ts"
import type { Model, ModelJob } from "./model.ts"
import { callOf, claimedBy, type ModelCall, spoken } from "./model-calls.ts"
import { type Fields, idOf, placeOf, type TaskState, termsOf } from "./task-state.ts"

export type Step = { readonly send: ModelCall } | { readonly pass: number } | { readonly flush: true }

/** One run: the real task and what has been sent to it. The model beside it is fast-check's. */
export class Real {
  readonly task: TaskBench
  readonly history: ModelCall[] = []
  /** All that was done, so that a story that failed can be kept and told again. */
  readonly steps: Step[] = []
  /** Every lease ever granted. */
  readonly granted: Held[] = []
  plain = 0

  /** `seen` counts what all runs together came across. */
  constructor(
    readonly bench: Bench,
    private readonly seen: Map<string, number>,
  ) {
    this.task = bench.task()
  }

  next(lane: string): Receipt {
    return this.task.next(lane)
  }

  /** Sends a call to both, and compares what they answer and what they hold then. */
  async send(model: Model, call: ModelCall): Promise<void> {
    this.steps.push({ send: call })
    const waited = model.line().length
    const again = model.isRepeated(call)
    const before = this.task.state
    const aside = before?.newer.size ?? 0
    const crowded = before !== undefined && (before.waiting.length > 0 || before.stats.get("ranked") === "1")
    const reply = await this.task.send<unknown>(callOf(this.task.calls, call))
    const stale = reply === "stale" || (reply as { tasks?: unknown[] }).tasks?.[0] === "stale"
    const now = (reply as { at?: number }).at ?? 0
    const wanted = model.apply(call, now, crowded)
    const said = stale ? "stale" : spoken(call, reply)
    expect(said, `answer to ${JSON.stringify(call)}`).toEqual(wanted)
    if (model.isPaused && !stale && !again) this.note(`${call.script} while paused`)
    if (!stale && call.script === "settle") this.heard(again ? 0 : call.options.want, waited, reply as never)
    if (!stale && call.script === "launch")
      this.heard(0, 0, { claimed: claimedBy(call.id, reply as LaunchReply), more: false })
    this.compare(model, call)
    const { parked } = this.task.state!
    const since = before?.parked ?? []
    if (parked.some((member) => !since.includes(member))) this.note(`parked at ${call.script}`)
    if (since.some((member) => this.isReleased(member))) this.note(`let go at ${call.script}`)
    if (this.task.state!.newer.size > aside) this.note("put aside")
    if (this.task.state!.newer.size < aside && call.script === "settle") this.note("taken from aside")
    if (!stale && !again && (said as { expired?: string[] }).expired?.length)
      this.note(`expired at ${call.script}`)
    for (const word of stale ? ["stale"] : again ? ["again"] : wordsOf(call, said))
      this.note(`${call.script} ${word}`)
    for (const [name, count] of model.counters) if (count > 0) this.note(name)
  }

  private isReleased(member: string): boolean {
    const id = idOf(member.split("\t")[2]!)
    return !this.task.state!.parked.includes(member) && this.task.state!.records.get(id)?.state === "w"
  }

  /** Does once more what was done in another run. */
  async take(model: Model, step: Step): Promise<void> {
    if ("send" in step) await this.send(model, step.send)
    else if ("pass" in step) await this.pass(step.pass)
    else await this.flushScripts()
  }

  async pass(ms: number): Promise<void> {
    this.steps.push({ pass: ms })
    await this.bench.pass(ms)
  }

  async flushScripts(): Promise<void> {
    this.steps.push({ flush: true })
    await this.bench.flushScripts()
  }

  private note(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1)
  }

  private heard(
    want: number,
    waited: number,
    reply: { claimed: readonly ClaimedJob[]; more: boolean },
  ): void {
    const { claimed } = reply
    for (const { id, record } of claimed)
      if (record !== "") this.granted.push({ id, token: record.split(",")[1]! })
    if (want > 0 && claimed.length === want && waited > want) expect(reply.more).toBe(true)
  }

  private compare(model: Model, call: ModelCall): void {
    const after = `after ${JSON.stringify(call)}`
    const state = this.task.state!
    const jobs = new Map([...state.records].map(([id, fields]) => [id, told(fields!)]))
    expect(jobs, after).toEqual(new Map([...model.jobs].map(([id, job]) => [id, remembered(job)])))
    expect(state.stats.get("paused") === "1", after).toBe(model.isPaused)
    expect(line(state), after).toEqual(model.line().map(({ id }) => id))
    const active = model.in("active").map(({ id, token, deadline }) => [`${id}\t${token}`, deadline] as const)
    expect(state.active, after).toEqual(new Map(active))
    expect(
      state.parked.map((member) => idOf(member.split("\t").slice(2).join("\t"))),
      after,
    ).toEqual(model.parking.parked().map(({ id }) => id))
    expect(holders(state), after).toEqual(held(model))
    const expiring = [...state.expiring].map(([place, at]) => [idOf(place), at] as const)
    expect(new Map(expiring), after).toEqual(model.expiring())
    for (const name of ["completed", "failed", "cancelled", "expired"] as const)
      expect(state[name].map(idOf), after).toEqual(model.ended[name])
    const requested = model.in("active").filter((job) => job.requested !== undefined)
    expect(state.cancels, after).toEqual(new Map(requested.map((job) => [job.id, job.requested])))
    const progress = [...model.jobs.values()].filter((job) => job.progress !== undefined)
    expect(state.progress, after).toEqual(new Map(progress.map((job) => [job.id, job.progress])))
    const logged = [...model.jobs.values()].filter((job) => job.logs !== undefined)
    const logs = [...state.logs].map(([id, [_bytes, ...lines]]) => [id, lines] as const)
    expect(new Map(logs), after).toEqual(new Map(logged.map((job) => [job.id, job.logs])))
    expect(this.task.ledger.events.map(spelled), after).toEqual(model.events)
    for (const name of counters)
      expect(Number(state.stats.get(name) ?? 0), `${name} ${after}`).toBe(model.counters.get(name) ?? 0)
  }
}

export const counters = [
  "dispatched",
  "started",
  "completed",
  "failed",
  "attempts_failed",
  "retried",
  "stalled_recovered",
  "stalled_failed",
  "cancelled_waiting",
  "cancelled_delayed",
  "cancelled_active",
  "released",
  "promoted",
  "revived",
  "expired",
  "discarded",
]

/** What a new call's answer shows to have happened. */
function wordsOf(call: ModelCall, said: unknown): string[] {
  const { words = "", word = "", state = "" } = said as { words?: string; word?: string; state?: string }
  if (call.script === "log" || call.script === "pause") return [word]
  if (call.script !== "launch") return [...words, state]
  if (call.asking) return ["asked in time"]
  return [(said as { claimed: string[] }).claimed.length === 0 ? "waits" : "leased"]
}

function told(fields: Fields) {
  const number = (text: string) => Number(text || "0")
  const { dedupe, expires, discard, key, limit } = termsOf(fields)
  return {
    state: fields.state,
    priority: number(fields.priority),
    created: number(fields.created),
    eligible: number(fields.eligible || fields.created),
    fails: number(fields.fails),
    attempt: number(fields.attempt),
    stalls: number(fields.stalls),
    releases: number(fields.releases),
    token: number(fields.token),
    claimed: number(fields.claimed),
    finished: number(fields.finished),
    run: fields.run,
    outcome: fields.outcome,
    data: fields.data,
    dedupe,
    expires: number(expires),
    discard: discard === "1",
    key,
    limit: number(limit),
  }
}

const letters = {
  waiting: "w",
  parked: "k",
  delayed: "d",
  active: "a",
  completed: "c",
  failed: "f",
  cancelled: "x",
  expired: "e",
}

function remembered(job: ModelJob): ReturnType<typeof told> {
  const {
    id: _id,
    version: _version,
    aside,
    since: _since,
    returned: _returned,
    deadline: _deadline,
    progress: _progress,
    logs: _logs,
    requested: _,
    joined: _joined,
    turn: _turn,
    holds: _holds,
    ...rest
  } = job
  return { ...rest, state: aside > 0 && job.state === "waiting" ? "n" : letters[job.state] }
}

/** Who has a slot: leases by their tokens, and jobs that wait for a claim. */
function holders({ holders }: TaskState): string[] {
  const told = (member: string) => {
    const [id, token] = member.split("\t")
    return id === "" ? `${token} kept` : `${id} ${token}`
  }
  return [...holders].flatMap(([key, members]) => members.map((member) => `${key}: ${told(member)}`)).sort()
}

function held(model: Model): string[] {
  const jobs = [...model.jobs.values()].filter(({ holds }) => holds)
  return jobs.map((job) => `${job.key}: ${job.id} ${job.state === "active" ? job.token : "kept"}`).sort()
}

function line(state: TaskState): string[] {
  const listed = state.waiting.filter((place) => {
    const fields = state.records.get(idOf(place))
    return fields?.state === "w" && fields.order === "" && placeOf(idOf(place), fields) === place
  })
  return [...state.priority.keys(), ...listed].map(idOf)
}

function spelled({
  name,
  id,
  fields,
}: ReturnType<typeof unfold> extends Generator<infer E> ? E : never): string {
  switch (name) {
    case "active":
      return `active ${id} ${fields.attempt}`
    case "progress":
      return `progress ${id} ${fields.progress}`
    case "completed":
      return `completed ${id} ${fields.attempt}`
    case "failed":
      return `failed ${id} ${fields.attempt} ${fields.willRetry}`
    case "retrying":
      return `retrying ${id} ${fields.nextAttempt}`
    case "stalled":
      return `stalled ${id} ${fields.count} ${fields.action}`
    case "expired":
      return `expired ${id} ${fields.attempt}`
    case "revived":
      return `revived ${id}`
    default:
      return `${name} ${id} ${fields.reason}`
  }
}
