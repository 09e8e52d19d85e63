import type { Clock } from "../model/clock.ts"

/** What a script answers: RESP2 values, numbers and bulk strings. */
export type Reply = string | number | null | Reply[]

/** A loaded script: its name (for telemetry) and its whole Lua text, prelude and includes in place. */
export interface ScriptSource {
  readonly name: string
  readonly text: string
  readonly sha: string
}

/** Entries read from one stream: `[entry id, text of the entry's single field "e"]`. */
export interface StreamChunk {
  readonly key: string
  readonly entries: readonly (readonly [id: string, text: string])[]
}

export interface ServerInfo {
  readonly product: "redis" | "valkey" | "memory"
  readonly version: string
  /** Shown to users in errors and spans; never with a password. */
  readonly address?: string
  readonly port?: number
}

export interface StoreListeners {
  /** The connection for commands was lost; reported once per outage. */
  lost(error: Error): void
  /** Commands can be sent again. Called after every reconnect, not after the first connect. */
  back(): void
  /** A message on a subscribed channel. */
  message(channel: string, text: string): void
}

/**
 * The whole seam between the engine and a place where jobs are kept. It is small because the rules are in Lua.
 *
 * `run`, `readStreams` and `waitForWork` reject with a `StoreError` whose `fate` says what is known of the call.
 * None of them resends anything: resending is the caller's, who knows the call's receipt.
 */
export interface Store {
  /**
   * Resolves when the server answers and has been found fit (version, and permissions for what is needed). May be called
   * again: after a rejection, and for more than before.
   */
  connect(needs?: Needs): Promise<void>
  run(script: ScriptSource, keys: readonly string[], args: readonly (string | number)[]): Promise<Reply>
  /** Waits at most `blockMs` for entries after the given positions; an empty array when there were none or the wait was interrupted. */
  readStreams(positions: ReadonlyMap<string, string>, blockMs: number, count: number): Promise<StreamChunk[]>
  /** Waits at most `blockMs` for wake markers on the sorted sets, takes them, and names their keys; none when there were none or the wait was interrupted. */
  waitForWork(keys: readonly string[], blockMs: number): Promise<readonly string[]>
  /** Makes a `readStreams` that is under way, or the next one, return early. */
  interruptRead(): void
  /** Makes a `waitForWork` that is under way, or the next one, return early. */
  interruptWait(): void
  subscribe(channels: readonly string[]): Promise<void>
  describe(): ServerInfo
  /** True while commands can be sent. */
  connected(): boolean
  /** Ends every connection and rejects what is under way with fate "unanswered". Idempotent. */
  close(): Promise<void>
}

/** What a process will do, for which its user needs permissions. Default: dispatch and listen, to tasks not known yet. */
export interface Needs {
  /** `call`: dispatch, listen, inspect. `work`: run jobs, too. */
  readonly use: "call" | "work"
  readonly tasks: readonly string[]
}

/** `read`: nothing but questions will be asked, and a user or a replica that can only read will do. */
export type Access = "all" | "read"

/** What `redisAdapter()` and `memoryAdapter()` return: opens one store for each app. */
export interface Adapter {
  readonly kind: "redis" | "memory"
  /** Namespace before every key, without a trailing colon; empty for none. */
  readonly prefix: string
  readonly clock: Clock
  /** In a cluster: the slot of a key. Keys of one call must share it. */
  readonly slotOf?: (key: string) => number
  /** Opens no connection yet; `connect()` does. `instance` names the app's process in keys of its own. */
  open(instance: string, listeners: StoreListeners, access?: Access): Store
}

/**
 * What is known of a call that failed: it never left the process ("unsent"), it left and no answer came
 * ("unanswered"), the server cannot serve it now and changed nothing ("unavailable": LOADING, READONLY, BUSY ...),
 * or the server answered with an error of the call's own ("refused": OOM, NOPERM, a script error).
 */
export type Fate = "unsent" | "unanswered" | "unavailable" | "refused"

export class StoreError extends Error {
  override readonly name = "StoreError"
  constructor(
    message: string,
    readonly fate: Fate,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}
