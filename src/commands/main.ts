#!/usr/bin/env node
import { TaskoraError } from "../model/errors.ts"
import { nearest } from "../model/options.ts"
import { version } from "../version.ts"
import { type Command, UsageError } from "./command.ts"

/** Every subcommand: its name, and the file that has it. */
const commands: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  dashboards: () => import("./dashboards.ts"),
  exporter: () => import("./exporter.ts"),
}

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === "--version" || name === "-v") return say(version)
  if (name === "--help" || name === "-h") return say(await usage())
  if (name === undefined) throw new UsageError("which command?")
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (load === undefined) throw unknown(name)
  const { command } = await load()
  if (args.includes("--help") || args.includes("-h")) return say(command.usage)
  return command.run(args, process.env)
}

async function usage(): Promise<string> {
  const lines: string[] = []
  for (const [name, load] of Object.entries(commands)) {
    const { command } = await load()
    lines.push(`  ${name.padEnd(12)}${command.summary}`)
  }
  return `Usage: taskora <command> [options]

Commands:
${lines.join("\n")}

  taskora <command> --help    the options of a command
  taskora --version           the version of taskora`
}

function unknown(name: string): UsageError {
  // What is no word may be a URL with a password, and is not repeated.
  if (!/^[\w-]{1,40}$/.test(name)) return new UsageError("there is no such command")
  const near = nearest(name, Object.keys(commands))
  return new UsageError(`there is no command "${name}"${near ? `; did you mean "${near}"?` : ""}`)
}

function say(text: string): number {
  console.log(text)
  return 0
}

/** Without a stack where the message is all there is to know. */
function complain(error: unknown, name: string | undefined): number {
  if (error instanceof UsageError) {
    const help = name !== undefined && Object.hasOwn(commands, name) ? `taskora ${name}` : "taskora"
    console.error(`${help}: ${error.message}\n${help} --help says more.`)
    return 2
  }
  console.error(error instanceof TaskoraError ? `taskora ${name}: ${error.message}` : error)
  return 1
}

const args = process.argv.slice(2)
process.exitCode = await main(args).catch((error: unknown) => complain(error, args[0]))
