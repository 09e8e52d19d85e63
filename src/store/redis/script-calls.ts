import type { Reply, ScriptSource } from "../store.ts"
import type { Connection } from "./connection.ts"
import { ReplyError } from "./failures.ts"

/** With the second that a silent socket is given, an unanswered call is noticed within five. */
export const answerMs = 4_000

export interface CallOptions {
  /** Says that the node was named by another one, while a slot is being moved. */
  readonly asking?: boolean
}

/** Runs scripts over one connection, and brings their texts where the server does not know them. */
export class ScriptCalls {
  readonly #connection: Connection
  /** With those of a reader, the server refuses a script that would write. */
  readonly #evaluate: { readonly sha: string; readonly text: string }
  /** Scripts whose text is on its way to the server, by sha. */
  readonly #loading = new Map<string, Promise<void>>()

  constructor(connection: Connection, { readOnly }: { readonly readOnly: boolean }) {
    this.#connection = connection
    this.#evaluate = readOnly ? { sha: "evalsha_ro", text: "eval_ro" } : { sha: "evalsha", text: "eval" }
  }

  async run(
    script: ScriptSource,
    keys: readonly string[],
    args: readonly (string | number)[],
    options: CallOptions = {},
  ): Promise<Reply> {
    const rest = [keys.length, ...keys, ...args]
    const send = (command: string, body: string) => {
      // It is for the command that follows it on this connection, so nothing may come between the two.
      if (options.asking) this.#connection.send("asking", [], answerMs).catch(() => {})
      return this.#connection.send(command, [body, ...rest], answerMs, `script "${script.name}"`)
    }
    const call = () => send(this.#evaluate.sha, script.sha)
    try {
      return await call()
    } catch (error) {
      if (!isUnknownScript(error)) throw error
    }
    // One call brings the text; those that found the script missing at the same time wait for it.
    const loading = this.#loading.get(script.sha)
    if (loading) {
      await loading
      try {
        return await call()
      } catch (error) {
        if (!isUnknownScript(error)) throw error
      }
    }
    const loaded = send(this.#evaluate.text, script.text)
    // Whether it worked is for the caller to see; the others only wait for its end.
    const ended = loaded.then(
      () => {},
      () => {},
    )
    this.#loading.set(script.sha, ended)
    try {
      return await loaded
    } finally {
      if (this.#loading.get(script.sha) === ended) this.#loading.delete(script.sha)
    }
  }
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof ReplyError && error.code === "NOSCRIPT"
}
