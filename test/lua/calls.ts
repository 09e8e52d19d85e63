import type { TaskKey, TaskKeys } from "../../src/store/keys.ts"
import type { Script } from "../../src/store/script.ts"
import { scripts } from "../../src/store/scripts.ts"
import { gateLine, type ModelGate } from "./model-gates.ts"

/** A script call in full, so that the very same one can be sent again. */
export interface Call<T = unknown> {
  readonly script: Pick<Script<string, string, T>, "name" | "source" | "reply">
  readonly keys: readonly string[]
  readonly args: readonly (string | number)[]
}

/** A lane and the call's number in it. */
export interface Receipt {
  readonly lane: string
  readonly n: number
}

export interface NewJob {
  readonly id: string
  readonly delay?: number
  readonly priority?: number
  readonly named?: boolean
  /** Further lines of its options. */
  readonly terms?: readonly string[]
  readonly gate?: ModelGate
  readonly headers?: string
  readonly data?: string
}

export interface Held {
  readonly id: string
  readonly token: string | number
}

export type Kind = "completed" | "failed" | "retried" | "cancelled" | "released" | "progress"

export interface Item extends Held {
  readonly kind: Kind
  readonly body?: string
  readonly duration?: number
  readonly run?: string
}

export interface SettleOptions {
  /** Another server may have taken over since the lane's last call. */
  readonly rejoined?: boolean
  readonly instance?: string
  readonly want?: number
  readonly woken?: boolean
  readonly singleton?: boolean
  readonly lease?: number
  readonly attempts?: number
  readonly keepCompleted?: number
  readonly keepFailed?: number
  readonly maxlen?: number
  readonly inline?: number
  readonly version?: number
}

export interface UpkeepOptions {
  readonly stalls?: number
  readonly keepFailed?: number
  readonly ageCompleted?: number
  readonly ageFailed?: number
  readonly maxlen?: number
  readonly version?: number
}

export interface Dead {
  readonly id: string
  /** When it failed; left out: whenever. */
  readonly finished?: number
}

function idAndTime({ id, finished }: Dead): readonly (string | number)[] {
  return [id, finished ?? ""]
}

const instance = "tester"
const long = 1e9
export const failure = '"it broke"\n{"name":"Error","message":"it broke"}'

export function bodyOf(kind: Kind, delayMs = 1000): string {
  if (kind === "completed") return '{"done":true}'
  if (kind === "failed") return failure
  if (kind === "retried") return `${delayMs}\n${failure}`
  if (kind === "cancelled") return '"no longer wanted"'
  return kind === "progress" ? "50" : ""
}

function optionsOf({ delay = 0, priority = 0, named = false, terms = [], gate }: NewJob): string {
  const lines = gate ? [...terms, gateLine(gate)] : terms
  if (delay === 0 && priority === 0 && !named && lines.length === 0) return ""
  return [`${delay},${priority},${named ? 1 : 0}`, ...lines].join("\n")
}

/** Makes the calls of one task. */
export function callsOf(keys: TaskKeys) {
  const make = <K extends TaskKey, A extends string, T>(
    script: Script<K, A, T>,
    args: Readonly<Record<A, string | number>>,
    rest: readonly (string | number)[] = [],
  ): Call<T> => ({
    script,
    keys: script.keys.map((name) => keys[name]),
    args: [...script.args.map((name) => args[name]), ...rest],
  })
  const { base } = keys
  return {
    enqueue: (at: Receipt, jobs: readonly NewJob[]) =>
      make(
        scripts.enqueue,
        { base, ...at },
        jobs.flatMap(({ headers = "", data = "null", ...job }) => [
          job.id,
          optionsOf(job),
          `${headers}\n${data}`,
        ]),
      ),
    launch: (
      at: Receipt,
      { id, headers = "", data = "null" }: NewJob,
      options: Pick<SettleOptions, "lease" | "attempts" | "rejoined"> & { readonly asking?: boolean } = {},
    ) =>
      make(scripts.launch, {
        base,
        ...at,
        rejoined: options.rejoined ? 1 : 0,
        instance,
        lease: options.lease ?? long,
        attempts: options.attempts ?? 3,
        maxlen: 10_000,
        asking: options.asking ? 1 : 0,
        id,
        body: `${headers}\n${data}`,
      }),
    settle: (at: Receipt, items: readonly Item[], options: SettleOptions = {}) =>
      make(
        scripts.settle,
        {
          base,
          ...at,
          rejoined: options.rejoined ? 1 : 0,
          instance: options.instance ?? instance,
          want: options.want ?? 0,
          woken: options.woken ? 1 : 0,
          singleton: options.singleton ? 1 : 0,
          lease: options.lease ?? long,
          attempts: options.attempts ?? 3,
          keepCompleted: options.keepCompleted ?? 100,
          keepFailed: options.keepFailed ?? 100,
          maxlen: options.maxlen ?? 10_000,
          inline: options.inline ?? 1024,
          version: options.version ?? 1,
        },
        items.flatMap(({ id, token, kind, duration = 7, run = "", body = bodyOf(kind) }) => [
          id,
          token,
          kind,
          duration,
          run,
          body,
        ]),
      ),
    renew: (at: Receipt, leases: readonly (Held & { readonly run?: string })[], lease: number = long) =>
      make(
        scripts.renew,
        { base, ...at, lease },
        leases.flatMap(({ id, token, run = "" }) => [id, token, run]),
      ),
    progress: (
      at: Receipt,
      reports: readonly (Held & { readonly value?: string; readonly later?: boolean })[],
    ) =>
      make(
        scripts.progress,
        { base, ...at, instance, maxlen: 10_000 },
        reports.flatMap(({ id, token, value = "50", later = false }) => [id, token, later ? 0 : 1, value]),
      ),
    log: (
      at: Receipt,
      { id, token }: Held,
      lines: readonly string[],
      limits: { lines?: number; bytes?: number } = {},
    ) =>
      make(
        scripts.log,
        { base, ...at, id, token, lines: limits.lines ?? 100, bytes: limits.bytes ?? 10_000, full: '"full"' },
        lines,
      ),
    cancel: (at: Receipt, id: string, reason = '"not needed"', keepFailed = 100) =>
      make(scripts.cancel, {
        base,
        ...at,
        instance,
        id,
        reason,
        channel: keys.channel,
        keepFailed,
        maxlen: 10_000,
      }),
    upkeep: (at: Receipt, options: UpkeepOptions = {}) =>
      make(scripts.upkeep, {
        base,
        ...at,
        instance,
        stalls: options.stalls ?? 1,
        keepFailed: options.keepFailed ?? 100,
        ageCompleted: options.ageCompleted ?? long,
        ageFailed: options.ageFailed ?? long,
        maxlen: options.maxlen ?? 10_000,
        version: options.version ?? 1,
      }),
    revive: (at: Receipt, jobs: readonly Dead[]) =>
      make(scripts.revive, { base, ...at, instance, maxlen: 10_000 }, jobs.flatMap(idAndTime)),
    discard: (at: Receipt, jobs: readonly Dead[]) =>
      make(scripts.discard, { base, ...at }, jobs.flatMap(idAndTime)),
    clean: (at: Receipt, state: string, age = 0, limit = 500) =>
      make(scripts.clean, { base, ...at, state, age, limit }),
    failures: (way: "oldest" | "newest", after: number | "" = "", limit = 100) =>
      make(scripts.failures, { base, way, after, limit }),
    pause: (at: Receipt, paused = true) => make(scripts.pause, { ...at, paused: paused ? 1 : 0 }),
    count: (names: readonly string[] = []) => make(scripts.count, { base }, names),
    fetch: (id: string, parts = "rpl") => make(scripts.fetch, { base, id, parts }),
    list: (state: string, from = 0, limit = 1000) => make(scripts.list, { base, state, from, limit }),
    snapshot: () => make(scripts.snapshot, {}),
    entries: (from: string, limit = 100) => make(scripts.entries, { from, limit }),
  }
}

export type Calls = ReturnType<typeof callsOf>
