import type { Bytes } from "./bytes.ts"

/** A status reply such as OK: Lua sees it as a table, clients as a plain string. */
export class Status {
  constructor(readonly text: Bytes) {}
}

/** What a command answers, before it is turned into Lua values or a client's reply. */
export type Value = Bytes | number | null | Status | Value[]

/** An error reply, with its code in front as it stands on the wire ("WRONGTYPE Operation ..."). */
export class CommandError extends Error {
  override readonly name = "CommandError"
}

export const ok = new Status("OK")

export const syntaxError = () => new CommandError("ERR syntax error")
export const arityError = (command: string) =>
  new CommandError(`ERR wrong number of arguments for '${command.toLowerCase()}' command`)
