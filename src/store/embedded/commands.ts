import type { Bytes } from "./bytes.ts"
import type { Command } from "./command.ts"
import { hashCommands } from "./commands-hashes.ts"
import { keyCommands } from "./commands-keys.ts"
import { listCommands } from "./commands-lists.ts"
import { setCommands } from "./commands-sets.ts"
import { streamCommands } from "./commands-streams.ts"
import { stringCommands } from "./commands-strings.ts"
import { zsetRangeCommands } from "./commands-zset-ranges.ts"
import { zsetCommands } from "./commands-zsets.ts"
import type { Keyspace } from "./keyspace.ts"
import { arityError, CommandError, type Value } from "./reply.ts"

const commands = new Map<string, Command>(
  [
    keyCommands,
    stringCommands,
    hashCommands,
    listCommands,
    setCommands,
    zsetCommands,
    zsetRangeCommands,
    streamCommands,
  ].flatMap((group) => Object.entries(group)),
)

/** Every command of the embedded keyspace, in upper case. */
export const supportedCommands: readonly string[] = [...commands.keys()]

function findCommand(name: string): Command | undefined {
  return commands.get(name) ?? commands.get(name.toUpperCase())
}

function fits(command: Command, words: number): boolean {
  return command.arity >= 0 ? words === command.arity : words >= -command.arity
}

/** Runs a command for a client. */
export function execute(db: Keyspace, args: readonly Bytes[]): Value {
  const name = args[0] ?? ""
  const command = findCommand(name)
  if (command === undefined) {
    const rest = args.slice(1).map((word) => `'${word}' `)
    throw new CommandError(`ERR unknown command '${name}', with args beginning with: ${rest.join("")}`)
  }
  if (!fits(command, args.length)) throw arityError(name)
  return command.run(db, args)
}

/** Runs a command for a script: the same, but for the words of the errors that Redis has for scripts. */
export function executeFromScript(db: Keyspace, args: readonly Bytes[]): Value {
  const command = findCommand(args[0]!)
  if (command === undefined) throw new CommandError("ERR Unknown Redis command called from script")
  if (!fits(command, args.length))
    throw new CommandError("ERR Wrong number of args calling Redis command from script")
  return command.run(db, args)
}
