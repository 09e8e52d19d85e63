import type { ChildProcess } from "node:child_process"
import { exited, type Program } from "../support/program.ts"
import { DiaryReader, type Observation, type Observed, type Of } from "./observations.ts"
import type { FaultTask, Work } from "./work.ts"

export type Role = "worker" | "dispatcher" | "listener"
export type Life = "close before start" | "close during start" | "close twice" | "close without redis"

export interface PodConfig {
  readonly url: string
  readonly prefix: string
  readonly role: Role
  readonly diary: string
  readonly leaseMs: number
  readonly seed: number
  /** A dispatch every so many ms while it is loaded. */
  readonly everyMs: number
  /** On SIGTERM. */
  readonly closeMs: number
  readonly loaded?: boolean
  readonly streamLength?: number
  readonly life?: Life
}

export type Order =
  | { readonly op: "load"; readonly on: boolean }
  | {
      readonly op: "dispatch"
      readonly task: FaultTask
      readonly work: Work
      readonly tag: string
      readonly count: number
    }
  | { readonly op: "die when claimed" }
  | { readonly op: "block"; readonly ms: number }
  | { readonly op: "close"; readonly timeout: number }

/** How a process ended, as far as the harness brought it about. */
export type Fate = "lives" | "closed" | "killed"

/** One process of the trial, and its diary. */
export class Pod {
  readonly diary: DiaryReader
  readonly bornAt = Date.now()
  readonly stops: { readonly from: number; to: number }[] = []
  fate: Fate = "lives"
  goneAt: number | undefined
  readonly #child: ChildProcess

  constructor(
    readonly name: string,
    program: Program,
    readonly config: PodConfig,
  ) {
    this.diary = new DiaryReader(config.diary)
    this.#child = program.start(config)
    this.#child.once("exit", () => {
      this.goneAt = Date.now()
    })
    this.#child.on("error", () => {
      // An order to a process that has just ended.
    })
  }

  get role(): Role {
    return this.config.role
  }

  get pid(): number {
    return this.#child.pid!
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  get exitCode(): number | null {
    return this.#child.exitCode
  }

  order(order: Order): void {
    if (this.#child.connected) this.#child.send(order)
  }

  of<W extends Observed["what"]>(what: W): Of<W>[] {
    return this.diary.of(what)
  }

  get observations(): readonly Observation[] {
    return this.diary.observations
  }

  /** Runs that have begun and not ended. */
  get openRuns(): Of<"run">[] {
    const ended = new Set(this.of("ended").map(({ run }) => run))
    return this.of("run").filter(({ run }) => !ended.has(run))
  }

  async kill(): Promise<void> {
    if (!this.isAlive) return
    this.fate = "killed"
    this.#child.kill("SIGKILL")
    await exited(this.#child)
  }

  /** It is about to kill itself. */
  async dies(): Promise<void> {
    this.fate = "killed"
    await exited(this.#child)
  }

  stop(): void {
    this.#child.kill("SIGSTOP")
    this.stops.push({ from: Date.now(), to: Number.POSITIVE_INFINITY })
  }

  goOn(): void {
    this.#child.kill("SIGCONT")
    const last = this.stops.at(-1)
    if (last) last.to = Date.now()
  }

  /** Closes as SIGTERM does it, or with a timeout of the harness's; resolves with the exit code. */
  async close(timeout?: number): Promise<number | null> {
    if (!this.isAlive) return this.exitCode
    this.fate = "closed"
    if (timeout === undefined) this.#child.kill("SIGTERM")
    else this.order({ op: "close", timeout })
    const giveUp = setTimeout(
      () => {
        this.fate = "killed"
        this.#child.kill("SIGKILL")
      },
      (timeout ?? this.config.closeMs) + 15_000,
    )
    await exited(this.#child)
    clearTimeout(giveUp)
    return this.#child.exitCode
  }

  exited(): Promise<void> {
    return exited(this.#child)
  }
}
