import { type ParseArgsConfig, parseArgs } from "node:util"
import { TaskoraError } from "../model/errors.ts"
import { nearest } from "../model/options.ts"

/** What the file of a subcommand exports as `command`. */
export interface Command {
  /** One line, for the list of commands. */
  readonly summary: string
  /** What `--help` prints. */
  readonly usage: string
  /**
   * Resolves with the exit code, once all is done.
   * @throws UsageError (exit code 2) for a wrong command line, TaskoraError (1) for what failed
   */
  run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number>
}

/** A wrong command line; the message says what and how it should be. */
export class UsageError extends Error {}

type Flags = NonNullable<ParseArgsConfig["options"]>
type Parsed<F extends Flags> = ReturnType<
  typeof parseArgs<{ args: string[]; options: F; allowPositionals: true }>
>

/**
 * Reads flags. What stands beside them is never repeated in a message: it may be a URL with a password.
 * @throws UsageError for unknown flags, missing values, and anything that is no flag
 */
export function parseFlags<F extends Flags>(args: readonly string[], flags: F): Parsed<F>["values"] {
  let parsed: Parsed<F>
  try {
    parsed = parseArgs({ args: [...args], options: flags, allowPositionals: true })
  } catch (error) {
    throw flagError(error as NodeJS.ErrnoException, Object.keys(flags))
  }
  if (parsed.positionals.length > 0)
    throw new UsageError(`only options are taken here: ${Object.keys(flags).map(dashed).join(", ")}`)
  return parsed.values
}

function flagError({ code, message }: NodeJS.ErrnoException, known: readonly string[]): UsageError {
  const [, name] = /'(?:-\w, )?--?([\w-]+)/.exec(message) ?? []
  if (code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION" || name === undefined)
    return new UsageError(message.split(/\. |\n/)[0])
  const near = nearest(name, known)
  return new UsageError(
    `there is no option "${dashed(name)}"${near ? `; did you mean "${dashed(near)}"?` : ""}`,
  )
}

function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`
}

/** Says of a value that was refused which flag or variable it came from. @throws UsageError */
export function from<T>(origin: string, use: () => T): T {
  try {
    return use()
  } catch (error) {
    if (!(error instanceof TaskoraError)) throw error
    throw new UsageError(`${origin}: ${error.message.replace(/^\w+(\(\))?: /, "")}`)
  }
}
