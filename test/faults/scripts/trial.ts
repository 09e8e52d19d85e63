import { randomBytes } from "node:crypto"
import {
  type App,
  type Context,
  createTaskora,
  type Handler,
  type Observer,
  type Task,
  type TaskOptions,
  type Transition,
} from "../../../src/index.ts"
import { type TaskKeys, taskKeys } from "../../../src/store/keys.ts"
import type { Adapter } from "../../../src/store/store.ts"
import { violations } from "../../lua/invariants.ts"
import { Ledger } from "../../lua/ledger.ts"
import { type Reader, readState, type TaskState } from "../../lua/task-state.ts"
import { claimAndVanish } from "../../support/ghost.ts"
import { type Hearing, hearTask } from "../../support/hearing.ts"
import { until } from "../../support/hosts.ts"
import { Mischief, type Strike, type Way } from "./mischief.ts"

/** What is done in each trial, and what must have come of it, whichever way its call is struck. */
export interface Deed {
  readonly title: string
  readonly script: string
  /** Which of the script's calls is struck; all where absent. */
  readonly fits?: (args: readonly (string | number)[]) => boolean
  readonly options?: Omit<TaskOptions, "handler">
  readonly handler?: (data: string, ctx: Context, trial: Trial) => unknown
  /** Does what makes the call. `strike` must be called when the next fitting call is the one to be struck. */
  readonly act: (trial: Trial, strike: () => void) => Promise<void>
  /** How often each kind of transition is counted; those not named here not at all. Jobs that warm workers up come on top. */
  readonly counts: Readonly<Record<string, number>>
  /** False where the struck call is the last one of its lane. */
  readonly successor?: false
}

const counted = [
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
] as const

/** One task with apps of its own, whose calls go through mischief; what they believe is kept beside what the store says. */
export class Trial {
  readonly name = `t${randomBytes(4).toString("hex")}`
  readonly mischief: Mischief
  readonly keys: TaskKeys
  /** Runs that handlers began, by id. */
  readonly runs: string[] = []
  readonly errors: unknown[] = []
  private readonly transitions: Transition[] = []
  private readonly apps: App[] = []
  /** Of an app that dispatches, cancels and listens, but does not work. */
  producer!: Task<string>
  private heard!: Hearing
  /** Jobs that only warmed workers up. */
  private warmed = 0
  private ghosts = 0

  constructor(
    readonly adapter: Adapter,
    private readonly reader: Reader,
    private readonly deed: Deed,
  ) {
    this.mischief = new Mischief(adapter)
    this.keys = taskKeys(adapter.prefix, this.name)
  }

  /** The app that was opened last. */
  get app(): App {
    return this.apps.at(-1)!
  }

  /** An app that works, and has run one job already where `warm`: its lanes are in use. */
  async worker(warm = true): Promise<Task<string>> {
    const app = this.open()
    const handler: Handler<string> = async (data, ctx) => {
      this.runs.push(ctx.id)
      return data === "warm" ? data : await this.deed.handler?.(data, ctx, this)
    }
    const options: TaskOptions<string> = { ...this.settings(), handler }
    const task = app.task<string>(this.name, options)
    await app.start()
    if (warm) {
      await task.dispatch("warm").result
      await task.dispatch("warm", { priority: 1 }).result
      this.warmed += 2
      await this.until(
        ({ active, wake, waiting }) => active.size + wake.length + waiting.length === 0,
        "rest",
      )
      // The claim after the last marker.
      await new Promise((resolve) => setTimeout(resolve, 15))
    }
    return task
  }

  /** Has a worker claim a job and vanish, whose lease then runs out at once. */
  async vanish(): Promise<string> {
    const [id] = await claimAndVanish(this.adapter, this.name, 1)
    this.ghosts++
    return id!
  }

  /** Waits until the task's state is so. */
  async until(done: (state: TaskState) => boolean, what: string): Promise<void> {
    await until(async () => {
      // What changes while it is read may not fit together.
      const state = await this.state().catch(() => undefined)
      return state !== undefined && done(state)
    }, `${this.deed.title}: ${what}`)
  }

  /** Waits until nothing waits or runs. */
  rest(): Promise<void> {
    const busy = ({ waiting, priority, delayed, active }: TaskState) =>
      waiting.length + priority.size + delayed.size + active.size
    return this.until((state) => busy(state) === 0, "rest")
  }

  /** Waits until this was counted so often, on top of what was before. */
  async counted(counts: Readonly<Record<string, number>>): Promise<void> {
    const settled = ({ stats }: TaskState) =>
      Object.entries(counts).every(([name, count]) => Number(stats.get(name) ?? 0) >= count)
    await this.until(settled, `counts ${JSON.stringify(counts)}`)
  }

  /** Does the deed with its call struck, and answers all that is wrong afterwards. */
  async run(way: Way, behindSuccessor: boolean): Promise<string[]> {
    const { deed, mischief } = this
    const fits: Strike["fits"] = (script, args) => script === deed.script && (deed.fits?.(args) ?? true)
    try {
      const app = this.open()
      this.producer = app.task<string>(this.name, this.settings())
      this.heard = hearTask(this.producer)
      await app.listen()
      await deed.act(this, () => mischief.strike({ fits, way, behindSuccessor }))
      await this.counted(this.wanted)
      await this.rest()
      // The store is at rest; the sender of the struck call may still wait to send it again.
      await this.soon(() => mischief.landed[0]?.repeated === 1)
      if (this.overtakes(way, behindSuccessor)) await this.soon(() => mischief.landed[0]?.overtaken === true)
      await mischief.calm()
      const state = await this.state()
      await this.soon(() => this.wrongBeliefs(state).length === 0)
      return [...this.wrongStrikes(way, behindSuccessor), ...(await this.wrongs())]
    } finally {
      await this.close()
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.apps.map((app) => app.close({ timeout: 100 })))
    await this.mischief.close()
  }

  /** Waits a while for what is looked at afterwards. */
  private soon(done: () => boolean): Promise<void> {
    return until(done, "", 5000).catch(() => {})
  }

  private get wanted(): Readonly<Record<string, number>> {
    const wanted: Record<string, number> = { ...this.deed.counts }
    for (const name of ["dispatched", "started", "completed"])
      wanted[name] = (wanted[name] ?? 0) + this.warmed
    return wanted
  }

  private settings(): Omit<TaskOptions<string>, "handler"> {
    return { stall: { interval: "60s" }, ...(this.deed.options as TaskOptions<string>) }
  }

  private open(): App {
    const observer: Observer = {
      name: "ledger",
      transition: (transition) => void this.transitions.push(transition),
    }
    const app = createTaskora({ adapter: this.mischief.adapter, observers: [observer] })
    app.on("worker:error", (error) => this.errors.push(error))
    app.on("task:failed", () => {})
    this.apps.push(app)
    return app
  }

  private state(): Promise<TaskState> {
    return readState(this.reader, this.keys)
  }

  /** The proof that the fault landed as it was meant to. */
  private wrongStrikes(way: Way, behindSuccessor: boolean): string[] {
    const [landed, ...more] = this.mischief.landed
    if (!landed || more.length > 0) return [`the fault landed ${this.mischief.landed.length} times`]
    const wrong: string[] = []
    if (landed.repeated !== 1) wrong.push(`the call was sent again ${landed.repeated} times`)
    if (landed.reached !== (way === "request lost" ? 0 : 1))
      wrong.push(`the struck call reached the server ${landed.reached} times`)
    if (this.overtakes(way, behindSuccessor) && !landed.overtaken)
      wrong.push("the struck call was not overtaken")
    return wrong
  }

  /** Whether the struck call must come behind a call with a higher number. */
  private overtakes(way: Way, behindSuccessor: boolean): boolean {
    return way === "late, after the next call" && behindSuccessor && this.deed.successor !== false
  }

  private async wrongs(): Promise<string[]> {
    const state = await this.state()
    const ledger = new Ledger()
    const [entries] = await this.reader.run([["XRANGE", this.keys.events, "-", "+"]])
    ledger.take(entries as [string, string[]][])
    const ids = new Set([...state.records.keys(), ...ledger.events.map(({ id }) => id)])
    const lives = new Map([...ids].map((id) => [id, 1]))
    const around = { ledger, lives, damaged: new Set<string>(), markerTaken: false }
    return [
      ...violations(state, around),
      ...this.wrongCounts(state),
      ...this.wrongRuns(state),
      ...this.wrongBeliefs(state),
      ...(await this.wrongHearing(ledger)),
      ...this.errors.map((error) => `worker:error: ${error}`),
    ]
  }

  /** I3, I6, I8: each transition once. */
  private wrongCounts({ stats }: TaskState): string[] {
    const number = (name: string) => Number(stats.get(name) ?? 0)
    const { wanted } = this
    return counted
      .filter((name) => number(name) !== (wanted[name] ?? 0))
      .map((name) => `I8: ${name} is ${number(name)} instead of ${wanted[name] ?? 0}`)
  }

  /** I6: as many runs as were granted, but for those that a ghost took. */
  private wrongRuns({ stats }: TaskState): string[] {
    const started = Number(stats.get("started") ?? 0) - this.ghosts
    const wrong =
      this.runs.length === started ? [] : [`I6: ${this.runs.length} runs began, ${started} were granted`]
    const believed = this.transitions.filter(({ kind }) => kind === "active").length
    return believed === started
      ? wrong
      : [...wrong, `I8: the apps believe ${believed} runs, ${started} were granted`]
  }

  /** I8: what the apps told their observers is what was counted. */
  private wrongBeliefs({ stats }: TaskState): string[] {
    const of = <K extends Transition["kind"]>(kind: K) =>
      this.transitions.filter((t): t is Extract<Transition, { kind: K }> => t.kind === kind)
    const believed: Record<string, number> = {
      dispatched: of("dispatched").reduce((sum, { stored }) => sum + stored, 0),
      completed: of("completed").length,
      failed:
        of("failed").filter(({ willRetry }) => !willRetry).length +
        of("stalled").filter(({ action }) => action === "failed").length,
      retried: of("retrying").length,
      released: of("released").length,
      stalled_recovered: of("stalled").filter(({ action }) => action === "recovered").length,
      cancelled: of("cancelled").length + of("removed").length,
      rejected: of("rejected").length,
      lost: of("lost").length,
    }
    const number = (name: string) => Number(stats.get(name) ?? 0)
    const cancelled = number("cancelled_waiting") + number("cancelled_delayed") + number("cancelled_active")
    const real: Record<string, number> = { cancelled, rejected: 0, lost: 0 }
    return Object.entries(believed)
      .filter(([name, count]) => count !== (real[name] ?? number(name)))
      .map(
        ([name, count]) => `I8: the apps believe ${name} ${count}, and it is ${real[name] ?? number(name)}`,
      )
  }

  /** I10: the listener hears each transition once, in order. */
  private async wrongHearing(ledger: Ledger): Promise<string[]> {
    const { heard } = this
    const since = heard.all[0]?.meta.seq ?? 1
    const told = ledger.events
      .filter(({ seq }) => seq >= since)
      .map(({ name, id, seq }) => `${seq} ${name} ${id}`)
    await until(() => heard.all.length >= told.length, `${this.deed.title}: the listener has heard all`)
    const said = heard.all.map(({ event, payload, meta }) => `${meta.seq} ${event} ${payload.id}`)
    return said.join("; ") === told.join("; ")
      ? []
      : [`I10: heard ${said.join("; ")} instead of ${told.join("; ")}`]
  }
}
