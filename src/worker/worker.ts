import { hostname } from "node:os"
import { type Clock, within } from "../model/clock.ts"
import type { MiddlewareContext } from "../model/context.ts"
import { TaskoraError } from "../model/errors.ts"
import { neutrally } from "../model/neutral.ts"
import type { SlotUse } from "../model/observer.ts"
import type { Definition } from "../rules/definition.ts"
import type { Middleware } from "../rules/middleware.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import { scripts } from "../store/scripts.ts"
import { StoreError } from "../store/store.ts"
import { Leases } from "./leases.ts"
import type { Run } from "./run.ts"
import type { Seat } from "./seat.ts"
import { Slots, type SlotsListener } from "./slots.ts"
import { Upkeep } from "./upkeep.ts"
import { TaskVoice } from "./voice.ts"
import { WorkWait } from "./wait.ts"

const attendEveryMs = 10_000
const attendForMs = 30_000

export interface WorkerOptions {
  readonly core: Core
  readonly codec: Codec
  readonly middleware: readonly Middleware<MiddlewareContext>[]
  /** Names of the schedules that this process declares. */
  readonly schedules: () => readonly string[]
}

/** All slots of this process: what claims, runs and settles its tasks' jobs. */
export class Worker implements SlotsListener {
  private readonly all = new Set<Slots>()
  private readonly byName = new Map<string, Slots>()
  private readonly byChannel = new Map<string, Slots>()
  private readonly leases = new Map<Slots, Leases>()
  private readonly upkeep: Upkeep
  private readonly wait: WorkWait
  private attendTimer: unknown
  private lastAttend: Promise<void> = Promise.resolve()
  private nextAttend: Promise<void> | undefined
  private running = false
  private closed = false

  constructor(private readonly options: WorkerOptions) {
    this.since = options.core.link.clock.now()
    this.upkeep = new Upkeep(options.core, this.all)
    this.wait = new WorkWait(options.core, this.all)
  }

  get slots(): ReadonlySet<Slots> {
    return this.all
  }

  get isRunning(): boolean {
    return this.running
  }

  /** Gives a task its slots; they begin to claim at once where the worker runs. */
  async add(definition: Definition): Promise<void> {
    const { core, codec, middleware } = this.options
    const voice: TaskVoice = new TaskVoice(core, {
      name: definition.name,
      renewNow: (run: Run) => leases.renewNow(run),
    })
    const stage = {
      definition,
      // Read when a job runs: the app's middleware may be added after its tasks.
      get middleware() {
        return middleware.length === 0 ? definition.middleware : [...middleware, ...definition.middleware]
      },
      codec,
      payloadBytes: core.payloadBytes,
      voice,
    }
    const slots: Slots = new Slots(definition, { core, stage, voice, listener: this })
    const leases = new Leases(slots, core)
    this.all.add(slots)
    this.byName.set(definition.name, slots)
    this.byChannel.set(slots.keys.channel, slots)
    this.leases.set(slots, leases)
    if (!this.running) return
    try {
      await core.link.subscribe([slots.keys.channel])
    } catch (error) {
      // Where the connection was lost it subscribes when it is back; until then renewals bring the requests.
      if (!(error instanceof StoreError) || error.fate === "refused") core.report(error, "script")
    }
    await this.attend()
    this.begin(slots)
    this.upkeep.start()
  }

  async start(): Promise<void> {
    const { link } = this.options.core
    if (this.all.size > 0) await link.connect({ use: "work", tasks: [...this.byName.keys()] })
    // Tasks may be declared meanwhile.
    for (let known = 0; known < this.byChannel.size; ) {
      const channels = [...this.byChannel.keys()]
      await link.subscribe(channels.slice(known))
      known = channels.length
    }
    if (this.closed) throw new TaskoraError("the app was closed while it started", "CLOSED")
    this.running = true
    await this.attend()
    neutrally(() => {
      this.wait.start()
      this.upkeep.start()
      for (const slots of this.all) this.begin(slots)
    })
  }

  /** After a lost connection: markers may have been lost, and requests to cancel not heard. */
  back(): void {
    if (!this.running) return
    for (const slots of this.all) slots.claim()
    for (const leases of this.leases.values()) void leases.renew(true)
  }

  /** A request to cancel, as `cancel.lua` publishes it. */
  heard(channel: string, text: string): void {
    const [, token, reason] = text.split("\t")
    this.byChannel.get(channel)?.requested(token ?? "", reason)
  }

  use(): SlotUse[] {
    return [...this.all].map((slots) => {
      const { busy, abandoned } = slots.use
      const idle = Math.max(0, slots.definition.concurrency - busy - abandoned)
      return { task: slots.definition.name, busy, abandoned, idle }
    })
  }

  /** A slot for a job that this process is about to dispatch, where it runs workers and has nothing of the task to do. */
  seat(task: string): Seat | undefined {
    return this.running ? this.byName.get(task)?.seat() : undefined
  }

  /** Stops claiming, lets handlers finish for `graceMs`, then aborts them and hands their jobs back. */
  async close(graceMs: number): Promise<void> {
    const { core } = this.options
    const { clock } = core.link
    for (const slots of this.all) slots.stopping = true
    this.running = false
    this.closed = true
    clock.clearTimeout(this.attendTimer)
    const waitEnded = this.wait.stop()
    const drain = () => Promise.all([...this.all].map((slots) => slots.drained()))
    const drained = drain()
    if (!(await settledWithin(clock, drained, graceMs))) {
      for (const slots of this.all) slots.release()
      await settledWithin(clock, drained, 700)
    }
    await settledWithin(clock, waitEnded, 200)
    // A marker that the wait took at the last moment goes back by one more claim.
    await settledWithin(clock, drain(), 200)
    await settledWithin(clock, this.upkeep.dispose(), 200)
    for (const leases of this.leases.values()) leases.dispose()
    for (const slots of this.all) slots.dispose()
    await settledWithin(clock, this.register(0), 200)
  }

  idle(slots: Slots): void {
    this.wait.offer(slots)
  }

  due(slots: Slots, at: number): void {
    this.upkeep.due(slots, at)
  }

  private begin(slots: Slots): void {
    this.leases.get(slots)?.start()
    slots.claim()
  }

  /** Tells of this process's tasks, and goes on telling. Tasks that are added meanwhile go together, in the next call. */
  attend(): Promise<void> {
    this.nextAttend ??= this.lastAttend.then(() => {
      this.nextAttend = undefined
      this.lastAttend = this.attendNow()
      return this.lastAttend
    })
    return this.nextAttend
  }

  private async attendNow(): Promise<void> {
    if (!this.running) return
    const { core } = this.options
    const { clock } = core.link
    try {
      await this.register(attendForMs)
    } catch (error) {
      if (!core.link.closed && core.link.connected()) core.report(error, "script")
    }
    if (!this.running) return
    clock.clearTimeout(this.attendTimer)
    this.attendTimer = clock.setTimeout(() => void this.attend(), attendEveryMs, false, true)
  }

  private async register(ttl: number): Promise<void> {
    const { link } = this.options.core
    const tasks = [...this.all].map(({ definition }) => definition.name)
    const slots = [...this.all].reduce((sum, { definition }) => sum + definition.concurrency, 0)
    const busy = this.use().reduce((sum, use) => sum + use.busy, 0)
    const schedules = this.options.schedules()
    const info = {
      id: link.instance,
      host: hostname(),
      pid: process.pid,
      since: this.since,
      tasks,
      slots,
      busy,
      ...(schedules.length > 0 ? { schedules } : {}),
    }
    await link.run(scripts.attend, link.shared, { instance: link.instance, ttl, info: JSON.stringify(info) })
  }

  private readonly since: number
}

/** Whether the promise settled in time, in whichever way. */
function settledWithin(clock: Clock, promise: Promise<unknown>, ms: number): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  )
  return within(clock, settled, { ms, late: () => false })
}
