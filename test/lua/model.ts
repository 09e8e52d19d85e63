import type { Dead, Held, NewJob, UpkeepOptions } from "./calls.ts"
import type { CallOf, ModelCall, ModelScript } from "./model-calls.ts"
import { ModelGates } from "./model-gates.ts"
import { ModelParking } from "./model-parking.ts"

type Ended = "completed" | "failed" | "cancelled" | "expired"
type State = "waiting" | "parked" | "delayed" | "active" | Ended

export interface ModelJob {
  readonly id: string
  readonly priority: number
  readonly data: string
  readonly created: number
  state: State
  eligible: number
  fails: number
  attempt: number
  stalls: number
  releases: number
  token: number
  claimed: number
  finished: number
  run: string
  outcome: string
  readonly version: number
  /** The time by which it must have started; 0: none. */
  expires: number
  /** Whether it leaves no trace when it expires. */
  discard: boolean
  /** Its concurrency key ("": none), how many of that may be active, and its turn among those of the key. */
  readonly key: string
  readonly limit: number
  readonly turn: number
  /** Whether it has a slot of its key. */
  holds: boolean
  /** As a rising number, when it was put aside for a worker of its version; 0 where it was not. */
  aside: number
  /** When it arrived at the back of its band, as a rising number. */
  since: number
  /** The token under which it first came back to the front; 0 while it stands in line. */
  returned: number
  deadline: number
  progress: string | undefined
  /** Undefined until something is logged. */
  logs: string[] | undefined
  /** The reason with which somebody asked for its cancel. */
  requested: string | undefined
  /** Its deduplication key, and when it joined that. */
  readonly dedupe: string
  readonly joined: number
}

export type ModelReply = "stale" | Readonly<Record<string, unknown>>

interface Grant {
  readonly id: string
  readonly token: number
}

interface Answer {
  readonly n: number
  readonly reply: Exclude<ModelReply, "stale">
  readonly granted: readonly Grant[]
}

interface Claim {
  readonly want: number
  readonly version: number
}

interface Found {
  readonly jobs: ModelJob[]
  readonly expired: ModelJob[]
}

/** What a new call does, and what of its answer the model foretells. `granted` takes the leases that it gives. */
type Act<S extends ModelScript> = (
  model: Model,
  call: CallOf<S>,
  now: number,
  granted: Grant[],
) => Readonly<Record<string, unknown>>

/** One row for each script of `model-calls.ts`. */
const acts: { readonly [S in ModelScript]: Act<S> } = {
  enqueue: (model, { jobs }, now) => model.enqueueAll(jobs, now),
  launch: (model, call, now, granted) => model.launch(call, now, granted),
  settle: (model, call, now, granted) => model.settle(call, now, granted),
  renew: (model, { leases, lease }, now) => ({
    words: leases.map((held) => model.renew(held, now + lease)).join(""),
  }),
  progress: (model, { reports }) => ({
    words: reports.map((report) => (model.progress(report, report.value) ? "o" : "l")).join(""),
  }),
  log: (model, call) => ({ word: model.log(call) }),
  cancel: (model, call, now) => model.cancel(call, now),
  upkeep: (model, { options }, now) => model.upkeep(options, now),
  revive: (model, { jobs }, now) => {
    let revived = 0
    const words = jobs.map((dead) => {
      const word = model.revive(dead, now)
      if (word === "r") model.rejoin(dead.id, now, ++revived)
      return word
    })
    return { words: words.join("") }
  },
  discard: (model, { jobs }) => ({ words: jobs.map((job) => model.discard(job)).join("") }),
  clean: (model, { state, age, limit }, now) => ({ count: model.trimOld(state, now - age + 1, limit) }),
  pause: (model, { paused }) => ({ word: model.pause(paused) }),
}

/** What the scripts do, written as plainly as possible: no keys, no batches, no hints but those that replies tell. */
export class Model {
  readonly jobs = new Map<string, ModelJob>()
  readonly events: string[] = []
  readonly counters = new Map<string, number>()
  /** Ended jobs, newest first. */
  readonly ended: Record<Ended, string[]> = { completed: [], failed: [], cancelled: [], expired: [] }
  token = 0
  due = 0
  isPaused = false
  private granting = false
  private arrivals = 0
  private asides = 0
  private crowded = false
  private readonly answers = new Map<string, Answer>()
  private readonly gates = new ModelGates(this.jobs)
  readonly parking = new ModelParking(this.jobs)

  /** The answer to a call that came at server time `now`. `crowded`: something stood in the collections before it. */
  apply(call: ModelCall, now: number, crowded = false): ModelReply {
    this.crowded = crowded
    const { lane, n } = call.at
    const last = this.answers.get(lane)
    if (last && n < last.n) return "stale"
    if (last && n === last.n) return this.again(call, last)
    const granted: Grant[] = []
    const act = acts[call.script] as Act<ModelScript>
    const reply = act(this, call, now, granted)
    this.answers.set(lane, { n, reply, granted })
    return reply
  }

  /** Whether the call's receipt is the last one of its lane. */
  isRepeated({ at }: ModelCall): boolean {
    return this.answers.get(at.lane)?.n === at.n
  }

  /** Waiting jobs in the order in which they will be claimed. */
  line(): ModelJob[] {
    const first = (a: ModelJob, b: ModelJob) => {
      if (a.priority !== b.priority) return b.priority - a.priority
      if (a.priority > 0) return a.since - b.since
      if (a.returned > 0 && b.returned > 0) return a.returned - b.returned
      return a.returned > 0 ? -1 : b.returned > 0 ? 1 : a.since - b.since
    }
    return this.in("waiting")
      .filter(({ aside }) => aside === 0)
      .sort(first)
  }

  /** What a claim gets, and what it comes across that has expired; what is of a version above its own is put aside. */
  private choose(line: readonly ModelJob[], claim: Claim, now: number) {
    const found: Found = { jobs: [], expired: [] }
    if (claim.version > 1) this.fromAside(line, claim, now, found)
    for (const job of line) {
      if (found.jobs.length === claim.want) break
      if (this.starts(job, claim, now, found)) found.jobs.push(job)
    }
    return found
  }

  private fromAside(line: readonly ModelJob[], claim: Claim, now: number, found: Found): void {
    const { want, version } = claim
    const ranked = line.filter(({ priority, returned }) => priority > 0 || returned > 0).slice(0, want)
    const aside = this.in("waiting").filter((job) => job.aside > 0 && job.version <= version)
    aside.sort((a, b) => a.version - b.version || a.aside - b.aside)
    for (const job of aside.slice(0, want)) {
      const before = ranked.filter(({ priority }) => priority > job.priority).length
      if (found.jobs.length + before >= want) break
      if (this.starts(job, claim, now, found)) found.jobs.push(job)
      job.aside = 0
    }
  }

  private starts(job: ModelJob, { version }: Claim, now: number, { expired }: Found): boolean {
    if (job.expires > 0 && job.expires <= now) {
      this.parking.leave(job)
      expired.push(job)
      return false
    }
    if (job.version <= version) return this.parking.admits(job)
    this.parking.leave(job)
    job.aside = ++this.asides
    return false
  }

  in(state: State): ModelJob[] {
    return [...this.jobs.values()].filter((job) => job.state === state)
  }

  private again(call: ModelCall, { reply, granted }: Answer): ModelReply {
    if (call.script !== "settle" && call.script !== "launch") return reply
    const claimed = granted.map(({ id, token }) => {
      const job = this.jobs.get(id)
      return job?.state === "active" && job.token === token ? `${id} ${token}` : `${id} gone`
    })
    return call.script === "launch" ? { ...reply, claimed } : { ...reply, due: this.due, claimed }
  }

  enqueueAll(jobs: readonly NewJob[], now: number) {
    const notes: string[] = []
    this.gates.begin()
    const words = jobs.map((job) => this.enqueue(job, now, notes))
    this.gates.end()
    const keep = jobs.find(({ gate }) => gate?.kind === "debounce")?.gate as { keep?: number } | undefined
    this.trim("cancelled", keep?.keep ?? 0, words.includes("b"))
    // A job that was replaced by another one of its call has never been due.
    for (const { id } of jobs) {
      const job = this.jobs.get(id)
      if (job?.created !== now) continue
      // Those that are parked have their turns before the others come into line.
      if (job.state === "waiting" && job.since === 0) this.queueUp(job)
      if (job.state === "delayed") this.fallsDue(job.eligible)
      if (["delayed", "waiting", "parked"].includes(job.state)) this.fallsDue(job.expires)
    }
    return { words: words.join(""), notes }
  }

  private enqueue(given: NewJob, now: number, notes: string[]): string {
    if (this.jobs.has(given.id)) return "d"
    const verdict = given.gate ? this.gates.decide(given.gate, now) : { word: "s" as const }
    if (verdict.word !== "s") {
      notes.push(verdict.note)
      return verdict.word
    }
    const { replaces } = verdict
    if (replaces && given.gate?.kind === "debounce") {
      const { keep } = given.gate
      notes.push(replaces.id)
      this.finish(replaces, "cancelled", '"debounced"', { now, keep })
    }
    const job = this.store({ ...given, delay: verdict.delay ?? given.delay ?? 0 }, now)
    verdict.settle?.(job)
    return replaces ? "b" : "s"
  }

  rejoin(id: string, now: number, nth: number): void {
    const job = this.jobs.get(id)!
    if (job.dedupe !== "") this.gates.join(job, job.dedupe, now, nth)
  }

  private store({ id, delay = 0, priority = 0, data = "null", terms = [] }: NewJob, now: number): ModelJob {
    const term = (letter: string) => terms.find((line) => line.startsWith(`${letter} `))?.slice(2)
    const [ttl, discard] = term("t")?.split(",") ?? []
    const [, limit = "0", key = ""] = /^(\d+),(.+)$/.exec(term("c") ?? "") ?? []
    const job: ModelJob = {
      id,
      priority,
      data,
      created: now,
      state: "waiting",
      eligible: now + delay,
      fails: 0,
      attempt: 0,
      stalls: 0,
      releases: 0,
      token: 0,
      claimed: 0,
      finished: 0,
      run: "",
      outcome: "",
      version: Number(term("v") ?? 1),
      expires: ttl === undefined ? 0 : now + Number(ttl),
      discard: discard === "1",
      key,
      limit: Number(limit),
      turn: key === "" ? 0 : ++this.arrivals,
      holds: false,
      aside: 0,
      since: 0,
      returned: 0,
      deadline: 0,
      progress: undefined,
      logs: undefined,
      requested: undefined,
      dedupe: "",
      joined: 0,
    }
    if (delay > 0) job.state = "delayed"
    else if (this.parking.bars(job)) Object.assign(job, { state: "parked", since: job.turn })
    this.jobs.set(id, job)
    this.add("dispatched")
    return job
  }

  launch({ at, id, data, lease, asking }: CallOf<"launch">, now: number, granted: Grant[]) {
    if (asking) return { claimed: [], seq: 0 }
    this.beginGranting(at.n, now)
    const alone = !this.isPaused && !this.crowded && this.line().length === 0
    this.queueUp(this.store({ id, data }, now))
    if (alone) this.grant(this.jobs.get(id)!, { now, lease }, granted)
    return { claimed: granted.map((job) => `${job.id} ${job.token}`), seq: this.events.length }
  }

  private grant(
    job: ModelJob,
    { now, lease }: { readonly now: number; readonly lease: number },
    granted: Grant[],
  ): void {
    Object.assign(job, { state: "active", token: ++this.token, claimed: now, attempt: job.fails + 1 })
    job.deadline = now + lease
    this.add("started")
    this.events.push(`active ${job.id} ${job.attempt}`)
    granted.push({ id: job.id, token: job.token })
  }

  /** A lane that has called before, and finds that nothing was ever granted, may have come to a server that lost all. */
  private beginGranting(n: number, now: number): void {
    if (!this.granting && n > 1) this.token = Math.floor(now / 1000) * 1024
    this.granting = true
  }

  settle({ at, items, options }: CallOf<"settle">, now: number, granted: Grant[]) {
    this.beginGranting(at.n, now)
    // What this call itself puts back is for the next one to claim.
    const line = this.isPaused ? [] : this.line()
    const reasons: string[] = []
    const words = items.map((item) => {
      const job = this.held(item)
      if (!job) return "l"
      if (item.run) job.run = item.run
      if (item.kind === "progress") {
        this.progress(item, item.body)
        return "p"
      }
      if (job.requested !== undefined) {
        reasons.push(job.requested)
        this.finish(job, "cancelled", job.requested, { now, keep: options.keepFailed })
        return "x"
      }
      if (item.kind === "cancelled") reasons.push(item.body)
      return this.outcome(job, item, now, options)
    })
    this.trim("completed", options.keepCompleted, words.includes("c"))
    this.trim("failed", options.keepFailed, words.includes("f"))
    this.trim("cancelled", options.keepFailed, words.includes("x"))
    const { jobs, expired } = this.choose(line, this.isPaused ? { ...options, want: 0 } : options, now)
    for (const job of jobs) this.grant(job, { now, lease: options.lease }, granted)
    this.expireAll(expired, now, options.keepFailed)
    this.release()
    const claimed = granted.map(({ id, token }) => `${id} ${token}`)
    return {
      words: words.join(""),
      due: this.due,
      claimed,
      reasons: reasons.join("\t"),
      expired: expired.map(({ id }) => id),
      seq: this.events.length,
    }
  }

  private outcome(
    job: ModelJob,
    { kind, body, delay }: { readonly kind: string; readonly body: string; readonly delay: number },
    now: number,
    { keepCompleted, keepFailed }: { readonly keepCompleted: number; readonly keepFailed: number },
  ): string {
    const failure = body.slice(body.lastIndexOf("\n") + 1)
    switch (kind) {
      case "completed":
        this.finish(job, "completed", body, { now, keep: keepCompleted })
        return "c"
      case "cancelled":
        this.finish(job, "cancelled", body, { now, keep: keepFailed })
        return "x"
      case "failed":
        this.failAttempt(job, false)
        this.finish(job, "failed", failure, { now, keep: keepFailed })
        return "f"
      case "retried":
        this.failAttempt(job, true)
        this.add("retried")
        this.parking.leave(job)
        Object.assign(job, { outcome: failure, eligible: now + delay, returned: 0 })
        this.fallsDue(job.expires)
        if (delay === 0) this.queueUp(job)
        else {
          job.state = "delayed"
          this.fallsDue(job.eligible)
        }
        return "r"
      default:
        this.add("released")
        job.releases++
        this.comeBack(job, now)
        return "b"
    }
  }

  renew(lease: Held & { readonly run: string }, deadline: number): string {
    const job = this.held(lease)
    if (!job) return "l"
    job.deadline = deadline
    if (lease.run) job.run = lease.run
    return job.requested === undefined ? "o" : "x"
  }

  progress(held: Held, value: string): boolean {
    const job = this.held(held)
    if (!job) return false
    job.progress = value
    this.events.push(`progress ${job.id} ${value}`)
    return true
  }

  log({ held, lines, most, full }: CallOf<"log">): string {
    const job = this.held(held)
    if (!job) return "lost"
    job.logs ??= []
    for (const line of lines) {
      if (job.logs.length > most) return "full"
      job.logs.push(job.logs.length === most ? full : line)
    }
    return job.logs.length > most ? "full" : "logged"
  }

  cancel({ id, reason, keepFailed }: CallOf<"cancel">, now: number) {
    const job = this.jobs.get(id)
    if (!job) return { word: "unknown", state: "" }
    const { state } = job
    if (state === "completed" || state === "failed" || state === "expired")
      return { word: "finished", state: "" }
    if (state === "cancelled") return { word: "cancelled", state: "" }
    if (state === "active") {
      job.requested ??= reason
      return { word: "requested", state }
    }
    this.finish(job, "cancelled", reason, { now, keep: keepFailed })
    this.trim("cancelled", keepFailed, true)
    this.release()
    return { word: "cancelled", state: state === "parked" ? "waiting" : state }
  }

  upkeep(options: Required<Omit<UpkeepOptions, "maxlen">>, now: number) {
    const isDue = this.due > 0 && this.due <= now
    const gone = (job: ModelJob) => job.expires > 0 && job.expires <= now
    const expired = isDue ? this.idle().filter(gone) : []
    expired.sort((a, b) => a.expires - b.expires || compare(a.id, b.id))
    const byDeadline = (a: ModelJob, b: ModelJob) => a.deadline - b.deadline || compare(a.id, b.id)
    const lost = this.in("active").filter((job) => job.deadline < now)
    const stalled = lost.sort(byDeadline).map((job) => `${job.id} ${this.recover(job, now, options)}`)
    this.trim(
      "failed",
      options.keepFailed,
      stalled.some((said) => said.endsWith(" failed")),
    )
    this.trim(
      "cancelled",
      options.keepFailed,
      stalled.some((said) => said.endsWith(" cancelled")),
    )
    for (const job of expired) this.parking.leave(job)
    this.expireAll(expired, now, options.keepFailed)
    this.parking.lookAfter()
    this.release()
    let promoted = 0
    if (isDue) {
      const byDue = (a: ModelJob, b: ModelJob) => a.eligible - b.eligible || compare(a.id, b.id)
      const ready = this.in("delayed").filter((job) => job.eligible <= now)
      for (const job of ready.sort(byDue)) this.queueUp(job)
      promoted = ready.length
      this.add("promoted", promoted)
    }
    if (this.due > 0 && this.due <= now) {
      const delayed = this.in("delayed").map(({ eligible }) => eligible)
      this.due = Math.min(...delayed, ...this.expiring().values())
      if (this.due === Number.POSITIVE_INFINITY) this.due = 0
    }
    this.trimOld("completed", now - options.ageCompleted)
    this.trimOld("failed", now - options.ageFailed)
    this.trimOld("cancelled", now - options.ageFailed)
    this.trimOld("expired", now - options.ageFailed)
    return { stalled, promoted, due: this.due, expired: expired.map(({ id }) => id) }
  }

  private recover(
    job: ModelJob,
    now: number,
    { stalls, keepFailed }: { stalls: number; keepFailed: number },
  ): string {
    if (job.requested !== undefined) {
      this.finish(job, "cancelled", job.requested, { now, keep: keepFailed })
      return "cancelled"
    }
    job.stalls++
    const action = job.stalls > stalls ? "failed" : "recovered"
    this.add(`stalled_${action}`)
    this.events.push(`stalled ${job.id} ${job.stalls} ${action}`)
    if (action === "recovered") {
      this.comeBack(job, now)
    } else {
      this.failAttempt(job, false)
      const message = `job stalled ${job.stalls} times; its workers vanished while it ran`
      this.finish(job, "failed", JSON.stringify({ name: "StalledError", message }), { now, keep: keepFailed })
    }
    return action
  }

  /** Nothing of a paused task begins; all else goes on. */
  pause(paused: boolean): string {
    if (this.isPaused === paused) return "same"
    this.isPaused = paused
    return "changed"
  }

  revive(dead: Dead, now: number): string {
    const job = this.failed(dead)
    if (typeof job === "string") return job
    this.ended.failed.splice(this.ended.failed.indexOf(job.id), 1)
    this.add("revived")
    this.events.push(`revived ${job.id}`)
    Object.assign(job, { eligible: now, fails: 0, attempt: 0, stalls: 0, releases: 0, returned: 0 })
    Object.assign(job, { claimed: 0, finished: 0, outcome: "", progress: undefined })
    Object.assign(job, { expires: 0, discard: false })
    this.queueUp(job)
    return "r"
  }

  discard(dead: Dead): string {
    const job = this.failed(dead)
    if (typeof job === "string") return job
    this.ended.failed.splice(this.ended.failed.indexOf(job.id), 1)
    this.jobs.delete(job.id)
    return "d"
  }

  private failed({ id, finished }: Dead): ModelJob | "u" | "f" {
    const job = this.jobs.get(id)
    if (!job) return "u"
    return job.state === "failed" && (finished ?? job.finished) === job.finished ? job : "f"
  }

  private held({ id, token }: Held): ModelJob | undefined {
    const job = this.jobs.get(id)
    return job?.state === "active" && job.token === Number(token) ? job : undefined
  }

  private queueUp(job: ModelJob): void {
    job.state = "waiting"
    job.since = ++this.arrivals
  }

  /** Jobs that are yet to run, wherever they wait. */
  private idle(): ModelJob[] {
    return [...this.in("waiting"), ...this.in("parked"), ...this.in("delayed")]
  }

  /** Those that were parked come to the front of their bands. */
  private release(): void {
    for (const job of this.parking.release()) if (job.priority === 0) job.returned ||= ++this.token
  }

  /** When each job that waits expires, by id. */
  expiring(): Map<string, number> {
    const waiting = this.idle().filter(({ expires }) => expires > 0)
    return new Map(waiting.map(({ id, expires }) => [id, expires]))
  }

  private expireAll(jobs: readonly ModelJob[], now: number, keep: number): void {
    for (const job of jobs) {
      if (!job.discard) this.events.push(`expired ${job.id} ${job.attempt}`)
      this.add(job.discard ? "discarded" : "expired")
      Object.assign(job, { state: "expired", finished: now })
      if (job.discard || keep === 0) this.jobs.delete(job.id)
      else this.ended.expired.unshift(job.id)
    }
    this.trim(
      "expired",
      keep,
      jobs.some(({ discard }) => !discard),
    )
  }

  /** Something happens at a time; 0: nothing does. */
  private fallsDue(at: number): void {
    if (at > 0 && (this.due === 0 || at < this.due)) this.due = at
  }

  private comeBack(job: ModelJob, now: number): void {
    this.parking.stay(job)
    job.state = "waiting"
    job.eligible = now
    this.fallsDue(job.expires)
    if (job.priority === 0) job.returned ||= job.token
  }

  private failAttempt(job: ModelJob, willRetry: boolean): void {
    job.fails = job.attempt
    this.add("attempts_failed")
    this.events.push(`failed ${job.id} ${job.attempt} ${willRetry}`)
    if (willRetry) this.events.push(`retrying ${job.id} ${job.attempt + 1}`)
  }

  private finish(
    job: ModelJob,
    state: "completed" | "failed" | "cancelled",
    outcome: string,
    { now, keep }: { readonly now: number; readonly keep: number },
  ): void {
    this.add(state === "cancelled" ? `cancelled_${job.state.replace("parked", "waiting")}` : state)
    this.parking.leave(job)
    if (state === "completed") this.events.push(`completed ${job.id} ${job.attempt}`)
    if (state === "cancelled") this.events.push(`cancelled ${job.id} ${outcome}`)
    Object.assign(job, { state, outcome, finished: now, requested: undefined })
    if (keep === 0) this.jobs.delete(job.id)
    else this.ended[state].unshift(job.id)
  }

  /** Forgets what is too much; only a call that adds to a list trims it. */
  private trim(state: Ended, most: number, added: boolean): void {
    if (added && most > 0) for (const id of this.ended[state].splice(most)) this.jobs.delete(id)
  }

  trimOld(state: Ended, oldest: number, most = 500): number {
    const list = this.ended[state]
    let count = 0
    for (; count < most && list.length > 0 && this.jobs.get(list.at(-1)!)!.finished < oldest; count++)
      this.jobs.delete(list.pop()!)
    return count
  }

  private add(counter: string, n = 1): void {
    if (n > 0) this.counters.set(counter, (this.counters.get(counter) ?? 0) + n)
  }
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
