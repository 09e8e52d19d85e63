import { type ChildProcess, execFile, fork } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { promisify } from "node:util"

const root = join(import.meta.dirname, "../..")

/** A program of the suite's own, built from TypeScript, that tests start as processes. */
export interface Program {
  /** `argument` arrives as JSON in `process.argv[2]`. */
  start(argument: unknown): ChildProcess
  remove(): void
}

/** Builds a file of `test/` and all that it imports, where the package's folders and packages are found from. */
export async function buildProgram(file: string): Promise<Program> {
  mkdirSync(join(root, ".tmp"), { recursive: true })
  const directory = mkdtempSync(join(root, ".tmp", "program-"))
  const config = join(directory, "tsconfig.json")
  const compilerOptions = { noEmit: false, outDir: directory, rootDir: root, declaration: false }
  writeFileSync(
    config,
    JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, files: [file], include: [] }),
  )
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  // Types are checked elsewhere.
  await promisify(execFile)(process.execPath, [compiler, "-p", config, "--noCheck"])
  const entry = join(directory, relative(root, file)).replace(/\.ts$/, ".js")
  return { ...builtProgram(entry), remove: () => rmSync(directory, { recursive: true, force: true }) }
}

/** A program that somebody else has built, and will remove. */
export function builtProgram(entry: string): Program {
  return {
    start: (argument) =>
      fork(entry, [JSON.stringify(argument)], { stdio: ["ignore", "inherit", "inherit", "ipc"] }),
    remove: () => {},
  }
}

/** Resolves when the process has ended. */
export async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
}
