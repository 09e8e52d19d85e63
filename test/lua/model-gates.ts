import type { ModelJob } from "./model.ts"

/** A gate as the model and the real scripts both take it. */
export type ModelGate =
  | { readonly kind: "throttle"; readonly key: string; readonly max: number; readonly windowMs: number }
  | {
      readonly kind: "debounce"
      readonly key: string
      readonly delayMs: number
      readonly maxWaitMs?: number
      /** Cancelled jobs that are kept. */
      readonly keep: number
    }
  | { readonly kind: "dedupe"; readonly key: string; readonly states: string }

/** The option line that stands for a gate. */
export function gateLine(gate: ModelGate): string {
  switch (gate.kind) {
    case "throttle":
      return `r ${gate.max},${gate.windowMs},${gate.key}`
    case "debounce":
      return `b ${gate.delayMs},${gate.maxWaitMs ?? ""},${gate.keep},10000,tester\t${gate.key}`
    case "dedupe":
      return `u ${gate.states},${gate.key}`
  }
}

/** What a gate says of a new job: kept back, with a note; or let in, perhaps later and in another's place. */
export type Verdict =
  | { readonly word: "t" | "u"; readonly note: string }
  | {
      readonly word: "s"
      readonly delay?: number
      readonly replaces?: ModelJob
      settle?(job: ModelJob): void
    }

const letters: Readonly<Record<string, string>> = { waiting: "w", parked: "w", delayed: "d", active: "a" }

/** What the gates of one task remember. */
export class ModelGates {
  private readonly times = new Map<string, number[]>()
  private readonly windows = new Map<string, { job: ModelJob; begun: number; due: number }>()
  private keep = new Map<string, number>()
  /** Jobs that joined a deduplication key in this call, by key. */
  private joined = new Map<string, number>()

  constructor(private readonly jobs: ReadonlyMap<string, ModelJob>) {}

  begin(): void {
    this.keep = new Map()
    this.joined = new Map()
  }

  /** Forgets times of which there are more than any of the call's throttles looks at. */
  end(): void {
    for (const [key, most] of this.keep) this.times.get(key)!.splice(most)
  }

  decide(gate: ModelGate, now: number): Verdict {
    if (gate.kind === "throttle") return this.throttle(gate, now)
    return gate.kind === "debounce" ? this.debounce(gate, now) : this.dedupe(gate, now)
  }

  /** When a job joined its key, so that the newest one is known. `nth` of its call. */
  join(job: ModelJob, key: string, now: number, nth: number): void {
    Object.assign(job, { dedupe: key, joined: now * 1000 + nth })
  }

  private throttle({ key, max, windowMs }: ModelGate & { kind: "throttle" }, now: number): Verdict {
    const times = this.times.get(key) ?? []
    const oldest = times[max - 1]
    if (oldest !== undefined && now - oldest <= windowMs)
      return { word: "t", note: String(oldest + windowMs + 1 - now) }
    this.times.set(key, [now, ...times])
    this.keep.set(key, Math.max(max, this.keep.get(key) ?? 0))
    return { word: "s" }
  }

  private debounce(gate: ModelGate & { kind: "debounce" }, now: number): Verdict {
    const { key, delayMs, maxWaitMs } = gate
    const window = this.windows.get(key)
    const isOpen = window && now <= window.due && this.isUntouched(window.job)
    const begun = isOpen ? window.begun : now
    const delay = maxWaitMs === undefined ? delayMs : Math.max(0, Math.min(delayMs, begun + maxWaitMs - now))
    return {
      word: "s",
      delay,
      ...(isOpen && { replaces: window.job }),
      settle: (job) => {
        if (delay > 0) this.windows.set(key, { job, begun, due: now + delay })
        else this.windows.delete(key)
      },
    }
  }

  private isUntouched(job: ModelJob): boolean {
    return this.jobs.get(job.id) === job && job.state === "delayed" && job.attempt === 0
  }

  private dedupe({ key, states }: ModelGate & { kind: "dedupe" }, now: number): Verdict {
    const living = [...this.jobs.values()].filter(({ dedupe, state }) => dedupe === key && letters[state])
    const first = (a: ModelJob, b: ModelJob) => a.joined - b.joined || (a.id < b.id ? -1 : 1)
    const found = living.sort(first).findLast(({ state }) => states.includes(letters[state]!))
    if (found) return { word: "u", note: found.id }
    return {
      word: "s",
      settle: (job) => {
        const nth = (this.joined.get(key) ?? 0) + 1
        this.joined.set(key, nth)
        this.join(job, key, now, nth)
      },
    }
  }
}
