import { type Series, Sums } from "./truth.ts"
import type { Attempt, Fact } from "./truth-at-load-pod.ts"
import { attemptsOf, reports, tasks } from "./truth-at-load-work.ts"

type Labels = Readonly<Record<string, string>>
type Ended = "completed" | "failed" | "cancelled"
type Of<W extends Fact["what"]> = Extract<Fact, { what: W }>

/** One run of a job, as the pod that claimed it wrote it down. */
interface Claim {
  readonly pod: string
  readonly at: number
  readonly attempt: number
  /** Claimed, and never given to a handler. */
  readonly unseen: boolean
  end?: Of<"return" | "throw" | "abort">
}

export interface PodDiary {
  readonly name: string
  readonly facts: readonly Fact[]
  readonly fate: "lives" | "closed" | "killed"
}

/** Whoever recovers a job: any pod may. */
const anyone = "anyone"

/**
 * What the metrics must say, worked out from what handlers, dispatchers and one listener wrote down. How a run ended in
 * the store shows in what came after it: a run that the same attempt follows was recovered or handed back, whatever its
 * handler believed.
 */
export class Ledger {
  readonly cluster = new Sums()
  readonly unseen: { readonly pod: string; readonly task: string }[] = []
  /** What became of runs whose pod was gone or late, by action. */
  readonly stalled = { recovered: 0, failed: 0 }
  readonly #pods = new Map<string, Sums>()
  readonly #fates: ReadonlyMap<string, PodDiary["fate"]>
  readonly #jobs = new Map<string, { task: string; claims: Claim[]; requested: boolean }>()

  constructor(diaries: readonly PodDiary[]) {
    this.#fates = new Map(diaries.map(({ name, fate }) => [name, fate]))
    for (const { name, fate } of diaries) if (fate !== "killed") this.#pods.set(name, new Sums())
    this.#pods.set(anyone, new Sums())
    for (const { name, facts } of diaries) this.#readRuns(name, facts)
    this.#findUnseen(diaries)
    for (const { name, facts } of diaries) this.#readDispatches(name, facts)
    for (const { task, claims, requested } of this.#jobs.values()) this.#settle(task, claims, requested)
  }

  /** What all living pods must say together. */
  get sums(): Series {
    const all = new Sums()
    for (const { series } of this.#pods.values()) for (const [key, value] of series) all.addTo(key, value)
    return all.series
  }

  of(pod: string): Series {
    return this.#pods.get(pod)!.series
  }

  /** The killed pod says nothing any more. */
  say(pod: string, name: string, labels: Labels, amount = 1): void {
    this.#pods.get(pod)?.add(`taskora_${name}`, labels, amount)
  }

  #count(task: string, ...transitions: string[]): void {
    for (const transition of transitions)
      this.cluster.add("taskora_cluster_transitions_total", { task, transition })
  }

  #job({ task, id }: { readonly task: string; readonly id: string }) {
    const key = `${task}/${id}`
    let job = this.#jobs.get(key)
    if (job === undefined) {
      job = { task, claims: [], requested: false }
      this.#jobs.set(key, job)
    }
    return job
  }

  #readRuns(pod: string, facts: readonly Fact[]): void {
    for (const fact of facts) {
      if (fact.what === "start")
        this.#job(fact).claims.push({ pod, at: fact.at, attempt: fact.attempt, unseen: false })
      else if (fact.what === "return" || fact.what === "throw" || fact.what === "abort") {
        const run = this.#job(fact).claims.findLast((c) => c.pod === pod && c.attempt === fact.attempt)
        if (run === undefined) throw new Error(`an end without a start: ${JSON.stringify(fact)}`)
        run.end = fact
      } else if (fact.what === "report")
        this.say(pod, "job_progress_reports_total", { task: fact.task }, reports)
    }
  }

  /** Claims that a listener heard of and no handler saw. */
  #findUnseen(diaries: readonly PodDiary[]): void {
    const podOf = new Map<string, string>()
    for (const { name, facts } of diaries)
      for (const fact of facts) if (fact.what === "instance") podOf.set(fact.id, name)
    const key = (pod: string, { task, id, attempt }: Attempt) => `${pod} ${task} ${id} ${attempt}`
    const seen = new Map<string, number>()
    for (const { name, facts } of diaries)
      for (const fact of facts)
        if (fact.what === "start") seen.set(key(name, fact), (seen.get(key(name, fact)) ?? 0) + 1)
    for (const fact of diaries.flatMap(({ facts }) => facts)) {
      if (fact.what !== "event" || fact.name !== "active") continue
      const pod = podOf.get(fact.instance)!
      const left = seen.get(key(pod, fact)) ?? 0
      if (left > 0) seen.set(key(pod, fact), left - 1)
      else {
        this.unseen.push({ pod, task: fact.task })
        this.#job(fact).claims.push({ pod, at: fact.at, attempt: fact.attempt, unseen: true })
      }
    }
  }

  #readDispatches(pod: string, facts: readonly Fact[]): void {
    for (const fact of facts) {
      const { what } = fact
      if (what === "dispatched") this.#dispatched(pod, fact)
      else if (what === "rejected") {
        const reason = fact.code === "SERIALIZATION" ? "serialization" : "too_large"
        this.say(pod, "jobs_rejected_total", { task: fact.task, reason })
      } else if (what === "cancel") this.#cancel(pod, fact)
      else if (what === "event") {
        this.say(pod, "events_delivered_total", { task: fact.task })
        this.say(pod, "events_lag_seconds_count", {})
      }
    }
  }

  #dispatched(pod: string, { task, stored, delay }: Of<"dispatched">): void {
    if (!stored) {
      this.say(pod, "jobs_rejected_total", { task, reason: "duplicate" })
      return
    }
    this.say(pod, "jobs_dispatched_total", { task })
    this.say(pod, "job_payload_size_bytes_count", { task, direction: "in" })
    this.#count(task, "dispatched")
    if (typeof delay === "number") this.#count(task, "promoted")
  }

  #cancel(pod: string, fact: Of<"cancel">): void {
    const { task, answer, delayed } = fact
    const job = this.#job(fact)
    if (answer === "requested") job.requested = true
    if (answer !== "cancelled") return
    const state = delayed ? "delayed" : "waiting"
    this.say(pod, "jobs_cancelled_total", { task, state })
    this.#ended(pod, task, "cancelled", job.claims.length > 0)
    this.#count(task, `cancelled_${state}`)
  }

  #settle(task: string, claims: Claim[], requested: boolean): void {
    claims.sort((a, b) => a.at - b.at)
    for (const [i, claim] of claims.entries()) {
      this.say(claim.pod, "attempts_started_total", { task })
      this.say(claim.pod, "job_wait_duration_seconds_count", { task })
      if (tasks[task]?.objectives?.wait !== undefined) this.#judge(claim.pod, task, "wait", false)
      this.#count(task, "started")
      const next = claims[i + 1]
      if (next === undefined && requested) this.#cancelled(task, claim)
      else if (this.#isHandedBack(claim)) this.#released(task, claim)
      else if (claim.end === undefined || next?.attempt === claim.attempt) this.#lost(task, claim)
      else this.#over(task, claim, claim.end)
    }
  }

  #isHandedBack({ pod, unseen, end }: Claim): boolean {
    return end?.of === "SHUTDOWN" || (unseen && this.#fates.get(pod) === "closed")
  }

  #cancelled(task: string, { pod }: Claim): void {
    const killed = this.#fates.get(pod) === "killed"
    const teller = killed ? anyone : pod
    this.say(teller, "jobs_cancelled_total", { task, state: "active" })
    if (!killed) this.#took(pod, task, "cancelled")
    this.#ended(teller, task, "cancelled")
    this.#count(task, "cancelled_active")
  }

  #released(task: string, { pod }: Claim): void {
    this.say(pod, "attempts_released_total", { task })
    this.#took(pod, task, "released")
    this.#count(task, "released")
  }

  #lost(task: string, { pod }: Claim): void {
    const action = tasks[task]?.stall?.maxCount === 0 ? "failed" : "recovered"
    this.stalled[action]++
    this.say(pod, "leases_lost_total", { task })
    this.#took(pod, task, "lost")
    this.say(anyone, "jobs_stalled_total", { task, action })
    this.say(anyone, "stall_recovery_duration_seconds_count", {})
    this.#count(task, `stalled_${action}`)
    if (action === "failed") this.#failed(anyone, task, "StalledError", "stalled")
  }

  #over(task: string, { pod, attempt }: Claim, { what, of, atOnce }: NonNullable<Claim["end"]>): void {
    if (what === "return") {
      this.say(pod, "jobs_completed_total", { task })
      this.say(pod, "job_payload_size_bytes_count", { task, direction: "out" })
      if (tasks[task]?.objectives?.duration !== undefined) this.#judge(pod, task, "duration", true)
      this.#took(pod, task, "completed")
      this.#ended(pod, task, "completed")
      this.#count(task, "completed")
    } else if (what === "abort" && of !== "TimeoutError") {
      throw new Error(`nothing explains that a run of ${task} was aborted with ${of}`)
    } else if (what === "throw" && attempt < attemptsOf(task) && of !== "SyntaxError") {
      this.say(pod, "attempts_failed_total", { task, error_type: of, will_retry: "true" })
      this.say(pod, "jobs_retried_total", { task })
      this.#took(pod, task, "retried")
      this.#count(task, "attempts_failed", "retried", ...(atOnce ? [] : ["promoted"]))
    } else {
      this.#took(pod, task, "failed")
      this.#failed(pod, task, of, what === "abort" ? "timeout" : "error")
    }
  }

  #failed(pod: string, task: string, errorType: string, cause: string): void {
    this.say(pod, "attempts_failed_total", { task, error_type: errorType, will_retry: "false" })
    this.say(pod, "jobs_failed_total", { task, cause })
    this.#ended(pod, task, "failed")
    this.#count(task, "attempts_failed", "failed")
  }

  #took(pod: string, task: string, outcome: string): void {
    this.say(pod, "job_duration_seconds_count", { task, outcome })
  }

  #ended(pod: string, task: string, outcome: Ended, ran = true): void {
    this.say(pod, "job_total_duration_seconds_count", { task, outcome })
    if (ran) this.say(pod, "job_attempts_count", { task, outcome })
    if (outcome !== "cancelled" && tasks[task]?.objectives?.success !== undefined)
      this.#judge(pod, task, "success", outcome === "failed")
  }

  #judge(pod: string, task: string, objective: string, missed: boolean): void {
    this.say(pod, "objective_events_total", { task, objective })
    if (missed) this.say(pod, "objective_breaches_total", { task, objective })
  }
}
