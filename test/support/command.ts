import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { root } from "./repository.ts"

/** The `taskora` command, built from this repository. */
export interface BuiltCommand {
  /** Starts it with the tests' environment, less what would lead it elsewhere, and `env`. */
  start(args: readonly string[], env?: NodeJS.ProcessEnv): CommandRun
  /** Runs it to its end. */
  run(
    args: readonly string[],
    env?: NodeJS.ProcessEnv,
  ): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>
  /** Kills what still runs, and removes the build. */
  remove(): Promise<void>
}

/** A run of the command: a real process. */
export class CommandRun {
  out = ""
  err = ""
  readonly process: ChildProcess
  readonly #closed: Promise<unknown[]>

  constructor(child: ChildProcess) {
    this.process = child
    child.stdout?.on("data", (chunk: Buffer) => {
      this.out += chunk.toString()
      child.emit("said")
    })
    child.stderr?.on("data", (chunk: Buffer) => {
      this.err += chunk.toString()
      child.emit("said")
    })
    this.#closed = once(child, "close")
  }

  /** The exit code, null after a signal. */
  async code(): Promise<number | null> {
    return (await this.#closed)[0] as number | null
  }

  /** Resolves with the match once it was printed, to either stream. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    let ended = false
    void this.#closed.then(() => {
      ended = true
      this.process.emit("said")
    })
    for (;;) {
      const match = pattern.exec(this.out) ?? pattern.exec(this.err)
      if (match) return match
      if (ended) throw new Error(`it ended without saying ${pattern}:\n${this.out}${this.err}`)
      await once(this.process, "said")
    }
  }
}

/** Builds `src` and `exporters` where packages and the folder `lua/` are found from. */
export async function buildCommand(): Promise<BuiltCommand> {
  mkdirSync(join(root, ".tmp"), { recursive: true })
  const built = mkdtempSync(join(root, ".tmp", "command-"))
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  // Types are checked elsewhere.
  const args = [
    compiler,
    "-p",
    "tsconfig.build.json",
    "--outDir",
    built,
    "--noCheck",
    "--declaration",
    "false",
  ]
  await promisify(execFile)(process.execPath, args, { cwd: root })
  const running = new Set<CommandRun>()

  function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): CommandRun {
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(OTEL|TASKORA)_/.test(name)),
    )
    const main = join(built, "src/commands/main.js")
    const child = spawn(process.execPath, [main, ...args], {
      env: { ...inherited, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    })
    const run = new CommandRun(child)
    running.add(run)
    void run.code().then(() => running.delete(run))
    return run
  }

  return {
    start,
    async run(args, env) {
      const run = start(args, env)
      const code = await run.code()
      return { code, out: run.out, err: run.err }
    },
    async remove() {
      for (const run of running) run.process.kill("SIGKILL")
      await Promise.all([...running].map((run) => run.code()))
      rmSync(built, { recursive: true, force: true })
    },
  }
}
