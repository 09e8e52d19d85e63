import { randomBytes } from "node:crypto"
import { Redis } from "ioredis"
import { afterAll, afterEach, beforeAll, expect } from "vitest"
import { memoryAdapter } from "../../src/memory.ts"
import { type SharedKey, sharedKeys, type TaskKeys, taskKeys } from "../../src/store/keys.ts"
import type { EnqueueReply, LaunchReply, SettleReply } from "../../src/store/replies.ts"
import type { Reply, Store } from "../../src/store/store.ts"
import type { TestHost } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"
import { type Call, type Calls, callsOf, type Held, type Receipt } from "./calls.ts"
import { violations } from "./invariants.ts"
import { Ledger } from "./ledger.ts"
import { parseFields, type Reader, readState, type TaskState } from "./task-state.ts"

/** One host with its data open to view, for all tests of a suite. */
export interface Bench {
  readonly host: TestHost["name"]
  readonly shared: Readonly<Record<SharedKey, string>>
  /** Messages on channels that were subscribed to. */
  readonly messages: string[]
  readonly store: Store
  readonly reader: Reader
  /** A task of its own, forgotten when the test ends. */
  task(): TaskBench
  /** Lets the server's time go by: virtual on the embedded engine, real on Redis. */
  pass(ms: number): Promise<void>
  /** Forgets all scripts that were loaded; the embedded engine has none to forget. */
  flushScripts(): Promise<void>
}

/** Opens the host's bench for the tests of the surrounding suite. */
export function benchOf(host: TestHost): Bench {
  let opened: OpenBench | undefined
  const bench = () => {
    if (!opened) throw new Error("the bench opens before the first test, and no earlier")
    return opened
  }
  beforeAll(async () => {
    opened = await OpenBench.open(host)
  })
  afterEach(() => bench().forget())
  afterAll(() => opened?.close())
  return {
    host: host.name,
    get shared() {
      return bench().shared
    },
    get messages() {
      return bench().messages
    },
    get store() {
      return bench().store
    },
    get reader() {
      return bench().reader
    },
    task: () => bench().task(),
    pass: (ms) => bench().pass(ms),
    flushScripts: () => bench().flushScripts(),
  }
}

class OpenBench {
  private tasks: TaskBench[] = []
  private count = 0

  private constructor(
    readonly prefix: string,
    private readonly parts: {
      readonly store: Store
      readonly reader: Reader
      readonly messages: string[]
      readonly pass: (ms: number) => Promise<void>
      readonly flush: () => Promise<void>
    },
  ) {}

  static async open(host: TestHost): Promise<OpenBench> {
    const messages: string[] = []
    const listeners = {
      lost() {},
      back() {},
      message: (channel: string, text: string) => messages.push(`${channel} ${text}`),
    }
    if (host.name === "embedded") {
      const clock = manualClock()
      const adapter = memoryAdapter({ clock, prefix: `t${randomBytes(6).toString("hex")}` })
      const store = adapter.open("tester", listeners)
      await store.connect()
      const reader = {
        run: async (commands: readonly (readonly string[])[]) => commands.map(adapter.command),
        close: async () => {},
      }
      return new OpenBench(adapter.prefix, {
        store,
        reader,
        messages,
        pass: clock.advance,
        flush: async () => {},
      })
    }
    const adapter = host.adapter()
    const store = adapter.open("tester", listeners)
    await store.connect()
    const redis = new Redis(host.url()!, { protocol: 2 })
    const flush = async () => void (await redis.script("FLUSH"))
    const pass = (ms: number) => passOn(redis, ms)
    return new OpenBench(adapter.prefix, { store, reader: redisReader(redis), messages, pass, flush })
  }

  get shared() {
    return sharedKeys(this.prefix)
  }

  get store() {
    return this.parts.store
  }

  get reader() {
    return this.parts.reader
  }

  get messages() {
    return this.parts.messages
  }

  pass(ms: number): Promise<void> {
    return this.parts.pass(ms)
  }

  flushScripts(): Promise<void> {
    return this.parts.flush()
  }

  task(): TaskBench {
    const task = new TaskBench(taskKeys(this.prefix, `task-${this.count++}`), this.store, this.reader)
    this.tasks.push(task)
    return task
  }

  async forget(): Promise<void> {
    this.messages.length = 0
    const found = (await this.reader.run([["KEYS", `${this.prefix}:*`]]))[0] as string[]
    this.tasks = []
    if (found.length > 0) await this.reader.run([["DEL", ...found]])
  }

  async close(): Promise<void> {
    await this.store.close()
    await this.reader.close()
  }
}

/** Calls the scripts of one task, each call followed by the check of every invariant. */
export class TaskBench {
  readonly calls: Calls
  readonly ledger = new Ledger()
  readonly lives = new Map<string, number>()
  readonly damaged = new Set<string>()
  markerTaken = false
  state: TaskState | undefined
  private readonly numbers = new Map<string, number>()
  private readonly heard = new Map<string, number>()

  constructor(
    readonly keys: TaskKeys,
    private readonly store: Store,
    private readonly reader: Reader,
  ) {
    this.calls = callsOf(keys)
  }

  /** The lane's next number. */
  next(lane = "a"): Receipt {
    const n = (this.numbers.get(lane) ?? 0) + 1
    this.numbers.set(lane, n)
    return { lane, n }
  }

  async send<T>(call: Call<T>): Promise<T> {
    const reply = call.script.reply(await this.store.run(call.script.source, call.keys, call.args))
    if (call.script.name === "settle") this.markerTaken = false
    if (call.script.name === "enqueue") this.born(call, reply as EnqueueReply | "stale")
    if (call.script.name === "launch") this.launched(call, reply as LaunchReply | "stale")
    await this.check(call)
    return reply
  }

  /** Sends a call that its lane has not overtaken. */
  async fresh<T>(call: Call<T>): Promise<Exclude<T, "stale">> {
    const reply = await this.send(call)
    expect(reply).not.toBe("stale")
    return reply as Exclude<T, "stale">
  }

  /** Reads the whole state and holds it against the invariants. */
  async check(call?: Call): Promise<TaskState> {
    const [entries] = await this.reader.run([["XRANGE", this.keys.events, `(${this.ledger.position}`, "+"]])
    this.ledger.take(entries as [string, string[]][])
    const state = await readState(this.reader, this.keys)
    const { ledger, lives, damaged, markerTaken, state: before } = this
    const around = { ledger, lives, damaged, markerTaken, ...(before ? { before } : {}) }
    const after = call ? `after ${call.script.name} ${JSON.stringify(call.args).slice(0, 400)}` : "at rest"
    const broken = violations(state, around)
    if (broken.length > 0) throw new Error(`${broken.join("; ")} (${after})`)
    this.state = state
    return state
  }

  /** Runs plain commands on the data. */
  async command(...args: string[]): Promise<Reply> {
    return (await this.reader.run([args]))[0]!
  }

  /** Deletes all that the task holds: what lies about makes every later look at the data longer. */
  async forget(): Promise<void> {
    const [found] = (await this.reader.run([["KEYS", `${this.keys.base}*`]])) as [string[]]
    if (found.length > 0) await this.reader.run([["DEL", ...found]])
  }

  /** Claims `want` jobs; each with its token. */
  async claim(want = 1, lease?: number): Promise<Held[]> {
    const call = this.calls.settle(this.next("claimer"), [], lease === undefined ? { want } : { want, lease })
    return heldOf(await this.fresh(call))
  }

  /** Stores plain jobs. */
  async dispatch(...ids: string[]): Promise<void> {
    await this.fresh(
      this.calls.enqueue(
        this.next("dispatcher"),
        ids.map((id) => ({ id })),
      ),
    )
  }

  private launched(call: Call, reply: LaunchReply | "stale"): void {
    const [lane, n, asking, id] = [1, 2, 7, 8].map((i) => `${call.args[i]}`)
    if (reply === "stale" || (this.heard.get(lane!) ?? 0) >= Number(n)) return
    this.heard.set(lane!, Number(n))
    if (asking === "1") return
    this.lives.set(id!, (this.lives.get(id!) ?? 0) + 1)
  }

  private born(call: Call, reply: EnqueueReply | "stale"): void {
    const [, lane, n] = call.args
    if (reply === "stale" || (this.heard.get(`${lane}`) ?? 0) >= Number(n)) return
    this.heard.set(`${lane}`, Number(n))
    for (const [i, word] of [...reply.words].entries()) {
      const id = String(call.args[3 + 3 * i])
      if (word === "s" || word === "b") this.lives.set(id, (this.lives.get(id) ?? 0) + 1)
    }
  }
}

/** What a claim granted. */
export function heldOf({ claimed }: SettleReply): Held[] {
  const held: Held[] = []
  for (const { id, record } of claimed)
    if (record !== "") held.push({ id, token: parseFields(record)!.token })
  return held
}

export function redisReader(redis: Redis): Reader {
  return {
    async run(commands) {
      if (commands.length === 0) return []
      const pipeline = redis.pipeline()
      for (const [name, ...args] of commands) pipeline.call(name!, ...args)
      return ((await pipeline.exec()) ?? []).map(([error, reply]) => {
        if (error) throw error
        return reply as Reply
      })
    },
    close: async () => redis.disconnect(),
  }
}

async function passOn(redis: Redis, ms: number): Promise<void> {
  const clock = async () => {
    const [seconds, micros] = (await redis.time()).map(Number) as [number, number]
    return seconds * 1000 + Math.floor(micros / 1000)
  }
  const until = (await clock()) + ms
  for (;;) {
    const left = until - (await clock())
    if (left <= 0) return
    await new Promise((resolve) => setTimeout(resolve, left))
  }
}
