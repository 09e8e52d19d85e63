import { TaskoraError } from "./model/errors.ts"
import { neutrally } from "./model/neutral.ts"
import type { Core } from "./store/core.ts"
import { closedError, storeFailure } from "./store/failure.ts"
import { wireVersion } from "./store/link.ts"
import { scripts } from "./store/scripts.ts"
import { StoreError } from "./store/store.ts"

interface TaskInfo {
  readonly owner?: string
  readonly runbook?: string
}

/** The app's way into its store: connects once, checks the wire version, and registers tasks before their first use. */
export class Connection {
  private opening: Promise<void> | undefined
  private isOpen = false
  private stopped = false
  private readonly known = new Map<string, TaskInfo>()
  private unregistered = new Set<string>()
  private registering: Promise<void> | undefined

  constructor(private readonly core: Core) {}

  declare(task: string, info: TaskInfo): void {
    this.known.set(task, info)
    this.unregistered.add(task)
  }

  /** Connects and registers, once; may be called again after it failed. @throws TaskoraError */
  async open(): Promise<void> {
    if (this.stopped) throw closedError()
    this.opening ??= neutrally(() => this.connect()).catch((error: unknown) => {
      this.opening = undefined
      throw error
    })
    await this.opening
    if (this.unregistered.size > 0) await this.register()
  }

  /** What a call must wait for; undefined, without a turn of the loop, when there is nothing. */
  ready(joining: Promise<void> | undefined): Promise<void> | undefined {
    if (!this.isOpen || this.stopped || this.unregistered.size > 0) return this.open().then(() => joining)
    return joining
  }

  /** The registry may be gone with what was lost: tasks are registered again before their next use. */
  back(): void {
    this.unregistered = new Set(this.known.keys())
  }

  stop(): void {
    this.stopped = true
  }

  private async connect(): Promise<void> {
    const { link, observers } = this.core
    await observers.open()
    try {
      await link.connect({ use: "call", tasks: [...this.known.keys()] })
      const wire = await link.run(scripts.greet, link.shared, { wire: wireVersion })
      checkWire(wire)
    } catch (error) {
      throw storeFailure(error)
    }
    this.isOpen = true
  }

  private async register(): Promise<void> {
    this.registering ??= this.registerAll().finally(() => {
      this.registering = undefined
    })
    await this.registering
  }

  private async registerAll(): Promise<void> {
    const { link } = this.core
    for (let tries = 0; this.unregistered.size > 0; tries++) {
      const names = [...this.unregistered].slice(0, 200)
      const rest = names.flatMap((name) => [name, JSON.stringify(this.known.get(name) ?? {})])
      try {
        await link.run(scripts.declare, link.shared, {}, rest)
        for (const name of names) this.unregistered.delete(name)
      } catch (error) {
        if (this.stopped || link.closed || !(error instanceof StoreError) || error.fate === "refused")
          throw storeFailure(error)
        await link.untilUsable(tries)
      }
    }
  }
}

/** `wire`: what the store says, "" where nobody has written yet. @throws TaskoraError (`STORE`) */
export function checkWire(wire: string): void {
  if (wire === "" || wire === wireVersion) return
  throw new TaskoraError(
    `the store was written by a Taskora of wire version ${wire}, this one speaks ${wireVersion}; use another prefix, or the matching release`,
    "STORE",
  )
}
