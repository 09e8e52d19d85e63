import { expect } from "vitest"
import type { ClaimedJob, LaunchReply } from "../../src/store/replies.ts"
import type { unfold } from "../../src/store/stream.ts"
import type { Call, Held, Receipt } from "./calls.ts"
import type { Bench, TaskBench } from "./harness.ts"
import type { Model, ModelCall, ModelJob } from "./model.ts"
import { type Fields, idOf, placeOf, type TaskState } from "./task-state.ts"

/** One run: the real task and what has been sent to it. The model beside it is fast-check's. */
export class Real {
  readonly task: TaskBench
  readonly history: ModelCall[] = []
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
    const waited = model.line().length
    const again = model.isRepeated(call)
    const before = this.task.state
    const crowded = before !== undefined && (before.waiting.length > 0 || before.stats.get("ranked") === "1")
    const reply = await this.task.send<unknown>(this.callOf(call))
    const stale = reply === "stale" || (reply as { tasks?: unknown[] }).tasks?.[0] === "stale"
    const now = stale ? 0 : (reply as { at: number }).at
    const wanted = model.apply(call, now, crowded)
    const said = stale ? "stale" : spoken(call, reply)
    expect(said, `answer to ${JSON.stringify(call)}`).toEqual(wanted)
    if (!stale && call.script === "settle") this.heard(call.options.want, waited, reply as never)
    if (!stale && call.script === "launch")
      this.heard(0, 0, { claimed: claimedBy(call.id, reply), more: false })
    this.compare(model, call)
    const { words = "", state = "" } = said as { words?: string; state?: string }
    if (!stale && call.script === "launch")
      this.note(`launch ${(said as { claimed: string[] }).claimed.length === 0 ? "waits" : "leased"}`)
    for (const word of stale ? ["stale"] : again ? ["again"] : [...words, state])
      this.note(`${call.script} ${word}`)
    for (const [name, count] of model.counters) if (count > 0) this.note(name)
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

  private callOf(call: ModelCall): Call {
    const { calls } = this.task
    switch (call.script) {
      case "enqueue":
        return calls.enqueue(call.at, call.jobs)
      case "launch":
        return calls.launch(call.at, { id: call.id, data: call.data }, { lease: call.lease })
      case "settle":
        return calls.settle(call.at, call.items, call.options)
      case "renew":
        return calls.renew(call.at, call.leases, call.lease)
      case "progress":
        return calls.progress(call.at, call.reports)
      case "cancel":
        return calls.cancel(call.at, call.id, call.reason, call.keepFailed)
      case "upkeep":
        return calls.upkeep(call.at, call.options)
    }
  }

  private compare(model: Model, call: ModelCall): void {
    const after = `after ${JSON.stringify(call)}`
    const state = this.task.state!
    const jobs = new Map([...state.records].map(([id, fields]) => [id, told(fields!)]))
    expect(jobs, after).toEqual(new Map([...model.jobs].map(([id, job]) => [id, remembered(job)])))
    expect(line(state), after).toEqual(model.line().map(({ id }) => id))
    const active = model.in("active").map(({ id, token, deadline }) => [`${id}\t${token}`, deadline] as const)
    expect(state.active, after).toEqual(new Map(active))
    for (const name of ["completed", "failed", "cancelled"] as const)
      expect(state[name].map(idOf), after).toEqual(model.ended[name])
    const requested = model.in("active").filter((job) => job.requested !== undefined)
    expect(state.cancels, after).toEqual(new Map(requested.map((job) => [job.id, job.requested])))
    const progress = [...model.jobs.values()].filter((job) => job.progress !== undefined)
    expect(state.progress, after).toEqual(new Map(progress.map((job) => [job.id, job.progress])))
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
]

/** The parts of an answer that the model foretells. */
function spoken(call: ModelCall, reply: unknown): unknown {
  if (call.script === "upkeep") {
    const { stalled, promoted, due } = (reply as { tasks: never[] }).tasks[0] as never as {
      stalled: { id: string; action: string }[]
      promoted: number
      due: number
    }
    return { stalled: stalled.map(({ id, action }) => `${id} ${action}`), promoted, due }
  }
  if (call.script === "cancel") {
    const { word, state } = reply as { word: string; state: string }
    return { word, state }
  }
  if (call.script === "launch") {
    const claimed = claimedBy(call.id, reply).map(({ id, record }) => `${id} ${tokenOf(record)}`)
    return { claimed, seq: (reply as LaunchReply).seq }
  }
  if (call.script !== "settle") return { words: (reply as { words: string }).words }
  const { words, due, seq, claimed, reasons } = reply as {
    words: string
    due: number
    seq: number
    claimed: readonly ClaimedJob[]
    reasons: string[]
  }
  const granted = claimed.map(({ id, record }) => `${id} ${tokenOf(record)}`)
  return {
    words,
    due,
    seq,
    claimed: granted,
    reasons: reasons.join("\t"),
  }
}

function tokenOf(record: string): string {
  return record === "" ? "gone" : record.split(",")[1]!
}

/** What a launch granted, as a claim would say it. */
function claimedBy(id: string, reply: unknown): ClaimedJob[] {
  const { record } = reply as LaunchReply
  return record === undefined ? [] : [{ id, record, data: undefined }]
}

function told(fields: Fields) {
  const number = (text: string) => Number(text || "0")
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
  }
}

const letters = { waiting: "w", delayed: "d", active: "a", completed: "c", failed: "f", cancelled: "x" }

function remembered(job: ModelJob): ReturnType<typeof told> {
  const {
    id: _id,
    since: _since,
    returned: _returned,
    deadline: _deadline,
    progress: _progress,
    requested: _,
    ...rest
  } = job
  return { ...rest, state: letters[job.state] }
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
    default:
      return `${name} ${id} ${fields.reason}`
  }
}
