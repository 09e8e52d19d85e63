import type { Evidence, PodEvidence } from "./evidence.ts"
import { type Collection, collections, type FinalJob } from "./final-state.ts"
import type { Observation, Observed } from "./observations.ts"
import type { Fate, Role } from "./pods.ts"
import { isTerminal, type Line, toldBy } from "./stream-lines.ts"

type Writable<T> = { -readonly [K in keyof T]: T[K] }
export type ForgedJob = Omit<Writable<FinalJob>, "history" | "logs"> & {
  history: string[]
  logs: { run: string; at: number }[]
}

export interface ForgedPod {
  readonly name: string
  readonly role: Role
  fate: Fate
  readonly observations: Observation[]
  readonly stops: { from: number; to: number }[]
  exitCode: number | null
  goneAt?: number
}

export interface ForgedRun {
  readonly pod: ForgedPod
  readonly id: string
  readonly run: string
  readonly claimed: number
  readonly attempt: number
}

export const task = "quick"
export const leaseMs = 1000

const placeOf: Readonly<Record<string, Collection>> = {
  w: "waiting",
  d: "delayed",
  a: "active",
  c: "completed",
  f: "failed",
  x: "cancelled",
}

/**
 * Ledgers that nobody lived: each step is written into all three of them as the engine and its users would have. What
 * follows from the steps (numbers, counters, places, what listeners hear) is worked out at the end, so that a step that
 * should not have been is wrong in one way only.
 */
export class Forgery {
  now = 1_000_000
  readonly lines: Line[] = []
  readonly jobs = new Map<string, ForgedJob>()
  readonly dispatcher = this.pod("dispatcher1", "dispatcher")
  readonly worker = this.pod("worker2", "worker")
  readonly other = this.pod("worker3", "worker")
  readonly listener = this.pod("listener4", "listener")
  readonly pods = [this.dispatcher, this.worker, this.other, this.listener]
  drained = true
  #token = 0
  #runs = 0

  private pod(name: string, role: Role): ForgedPod {
    const pod: ForgedPod = { name, role, fate: "closed", observations: [], stops: [], exitCode: 0 }
    this.note(pod, { what: "began", instance: name, pid: 1 })
    this.note(pod, { what: "ready" })
    return pod
  }

  note(pod: ForgedPod, observed: Observed): void {
    pod.observations.push({ ...observed, at: this.now, mono: this.now })
  }

  did(pod: ForgedPod, kind: string, id: string): void {
    this.note(pod, { what: "did", kind, task, id, count: 1 })
  }

  pass(ms = 10): void {
    this.now += ms
  }

  line(pod: ForgedPod, kind: string, id: string, more: Partial<Line> = {}): Line {
    this.pass()
    const before = this.lines.at(-1)
    const seq = before ? before.seq + before.span : 1
    const entry = `${this.now}-0`
    const line = { kind, task, id, seq, span: 1, at: this.now, entry, instance: pod.name, ...more }
    this.lines.push(line)
    return line
  }

  dispatch(id: string, { awaited = false, answer = "acknowledged" } = {}): ForgedJob {
    this.pass()
    this.note(this.dispatcher, { what: "asked", task, id })
    if (awaited) this.note(this.dispatcher, { what: "awaited", task, id })
    this.pass(2)
    if (answer === "acknowledged") {
      this.note(this.dispatcher, { what: "acknowledged", task, id })
      this.did(this.dispatcher, "dispatched", id)
    } else this.note(this.dispatcher, { what: "refused", task, id, code: answer })
    const job: ForgedJob = {
      id,
      state: "w",
      token: 0,
      attempt: 0,
      claimed: 0,
      outcome: "",
      created: this.now,
      fails: 0,
      stalls: 0,
      releases: 0,
      history: [],
      logs: [],
    }
    this.jobs.set(id, job)
    return job
  }

  claim(id: string, pod = this.worker): ForgedRun {
    const job = this.jobs.get(id)!
    job.attempt = job.fails + 1
    const { attempt } = job
    const { at } = this.line(pod, "a", id, { attempt })
    Object.assign(job, { state: "a", token: ++this.#token, claimed: at })
    this.did(pod, "active", id)
    const run = `${pod.name}.${++this.#runs}`
    this.note(pod, { what: "run", task, id, attempt, run, claimed: at })
    return { pod, id, run, claimed: at, attempt }
  }

  progress({ pod, id, run }: ForgedRun): Line {
    return this.line(pod, "p", id, { text: `{"run":"${run}","step":0}` })
  }

  log({ id, run }: ForgedRun): void {
    this.pass()
    this.jobs.get(id)!.logs.push({ run, at: this.now })
  }

  beat({ pod, run }: ForgedRun): void {
    this.pass()
    this.note(pod, { what: "beat", run, sent: this.now, code: "" })
  }

  end({ pod, run }: ForgedRun, how: "returned" | "threw"): void {
    this.pass(2)
    this.note(pod, { what: "ended", run, how })
  }

  abort({ pod, run }: ForgedRun, code: string): void {
    this.pass(2)
    this.note(pod, { what: "aborted", run, code })
  }

  complete(run: ForgedRun): void {
    this.end(run, "returned")
    this.completed(run)
  }

  completed({ pod, id, run, attempt, claimed }: ForgedRun, result = run): Line {
    const line = this.line(pod, "c", id, { attempt, claimed, text: `={"run":"${result}"}` })
    this.did(pod, "completed", id)
    this.jobs.get(id)!.state = "c"
    this.answer(id, "completed", result)
    return line
  }

  fail({ pod, id, attempt, claimed }: ForgedRun, retries: boolean): void {
    const job = this.jobs.get(id)!
    job.fails = attempt
    this.line(pod, "f", id, {
      attempt,
      claimed,
      text: '"no"',
      ...(retries ? { next: attempt + 1, span: 2 } : {}),
    })
    if (retries) {
      this.did(pod, "failed", id)
      this.did(pod, "retrying", id)
      job.history.push("f")
      job.state = "w"
    } else {
      this.did(pod, "failed for good", id)
      job.state = "f"
      this.answer(id, "JOB_FAILED")
    }
  }

  /** Somebody finds that the lease has run out. */
  stall({ id }: ForgedRun, by = this.other): void {
    const job = this.jobs.get(id)!
    job.stalls++
    this.line(by, "s", id, { count: job.stalls, action: "recovered" })
    this.did(by, "stalled recovered", id)
    job.history.push("s")
    job.state = "w"
  }

  lose(run: ForgedRun): void {
    this.abort(run, "LEASE_LOST")
    this.end(run, "threw")
    this.did(run.pod, "lost", run.id)
  }

  release({ pod, id }: ForgedRun): void {
    const job = this.jobs.get(id)!
    job.releases++
    job.history.push("b")
    job.state = "w"
    this.did(pod, "released", id)
  }

  cancelWaiting(id: string): void {
    this.line(this.dispatcher, "x", id, { text: '"as told"' })
    this.did(this.dispatcher, "removed waiting", id)
    this.note(this.dispatcher, { what: "cancel", task, id, answer: "cancelled" })
    this.jobs.get(id)!.state = "x"
  }

  answer(id: string, outcome: string, run?: string): void {
    const { observations } = this.dispatcher
    const waits = observations.filter((line) => line.what === "awaited" && line.id === id).length
    const answered = observations.filter((line) => line.what === "answered" && line.id === id).length
    if (waits > answered)
      this.note(this.dispatcher, { what: "answered", task, id, outcome, ...(run ? { run } : {}) })
  }

  /** Everybody closes, and the ledgers are as they must be after all that has been. */
  evidence(): Forged {
    for (const line of this.lines)
      for (const { name, seq } of toldBy(line))
        this.listener.observations.push({
          what: "heard",
          task,
          name,
          id: line.id,
          seq,
          at: line.at + 5,
          mono: line.at,
        })
    this.pass(100)
    for (const pod of this.pods) {
      if (pod.fate === "killed") continue
      this.note(pod, { what: "closing", timeout: 1000, runs: 0 })
      this.pass(50)
      this.note(pod, { what: "closed", ms: 50 })
      this.note(pod, { what: "left", resources: [] })
      pod.goneAt = this.now
    }
    const places = Object.fromEntries(collections.map((name) => [name, [] as string[]])) as Record<
      Collection,
      string[]
    >
    for (const { id, state, token } of this.jobs.values())
      places[placeOf[state]!].push(state === "a" ? `${id}\t${token}` : id)
    const count = (holds: (line: Line) => boolean) => String(this.lines.filter(holds).length)
    const last = this.lines.at(-1)
    const stats: Record<string, string> = {
      dispatched: String(this.jobs.size),
      started: count(({ kind }) => kind === "a"),
      completed: count(({ kind }) => kind === "c"),
      failed: count((line) => line.kind === "f" && isTerminal(line)),
      attempts_failed: count(({ kind }) => kind === "f"),
      retried: count((line) => line.kind === "f" && !isTerminal(line)),
      stalled_recovered: count(({ kind }) => kind === "s"),
      cancelled_waiting: count(({ kind }) => kind === "x"),
      released: String([...this.jobs.values()].reduce((sum, { releases }) => sum + releases, 0)),
      seq: String(last ? last.seq + last.span - 1 : 0),
    }
    const state = { jobs: this.jobs, places, stats, appended: [], strange: [] }
    return {
      pods: this.pods.map((pod): PodEvidence => ({ ...pod, slots: 10 })),
      tasks: [{ task, lines: this.lines, lostLines: [], state }],
      settings: { leaseMs, recoverWithinMs: 10_000, slackMs: 500, drained: this.drained },
      losses: [],
      recoveries: [{ fault: "none", ms: 100 }],
      idle: { commandsPerSecond: 1, cpuShare: 0.001 },
      remains: { clients: 0, keys: [] },
    }
  }
}

/** Evidence whose parts may still be forged. */
export type Forged = Writable<Omit<Evidence, "tasks" | "recoveries" | "remains">> & {
  tasks: {
    task: string
    lines: Line[]
    lostLines: Line[]
    state: {
      jobs: Map<string, ForgedJob>
      places: Record<Collection, string[]>
      stats: Record<string, string>
      appended: { kind: string; id: string }[]
      strange: string[]
    }
  }[]
  recoveries: { fault: string; ms: number }[]
  remains: { clients: number; keys: string[] }
}

/** A day in which everything lawful happens once. */
export function lawful(): Forgery {
  const f = new Forgery()
  f.dispatch("plain", { awaited: true })
  const plain = f.claim("plain")
  f.progress(plain)
  f.log(plain)
  f.beat(plain)
  f.complete(plain)

  f.dispatch("retried", { awaited: true })
  const first = f.claim("retried")
  f.end(first, "threw")
  f.fail(first, true)
  f.pass(60)
  const second = f.claim("retried", f.other)
  f.complete(second)

  // Its process stood still; the loser heard of it only after somebody else had begun.
  f.dispatch("stalled")
  const lost = f.claim("stalled")
  f.beat(lost)
  f.pass(leaseMs + 50)
  f.stall(lost)
  const next = f.claim("stalled", f.other)
  f.lose(lost)
  f.complete(next)

  // Its handler ignores the timeout.
  f.dispatch("timed", { awaited: true })
  const deaf = f.claim("timed")
  f.abort(deaf, "TIMEOUT")
  f.fail(deaf, false)
  f.pass(100)
  f.end(deaf, "returned")

  f.dispatch("handed back")
  const handed = f.claim("handed back")
  f.abort(handed, "SHUTDOWN")
  f.end(handed, "threw")
  f.release(handed)
  f.complete(f.claim("handed back", f.other))

  f.dispatch("cancelled", { awaited: true })
  f.cancelWaiting("cancelled")
  f.answer("cancelled", "CANCELLED")

  f.dispatch("unconfirmed", { answer: "UNCONFIRMED" })
  f.complete(f.claim("unconfirmed"))
  f.note(f.dispatcher, { what: "asked", task, id: "never stored" })
  f.note(f.dispatcher, { what: "refused", task, id: "never stored", code: "CONNECTION" })
  return f
}
