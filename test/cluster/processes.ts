import { once } from "node:events"
import { readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll } from "vitest"
import { buildProgram, exited, type Program } from "../support/program.ts"

export interface ChildSettings {
  readonly nodes: readonly string[]
  readonly prefix: string
  readonly tasks: readonly string[]
  readonly leaseMs: number
  readonly ledger: string
}

/** What a process writes down. */
export type Line =
  | { readonly kind: "run"; readonly task: string; readonly id: string }
  | {
      readonly kind: "heard"
      readonly task: string
      readonly event: string
      readonly id: string
      readonly seq: number
    }
  | { readonly kind: "error"; readonly text: string }

export interface Member {
  readonly lines: () => Line[]
  /** As SIGTERM does it. */
  close(): Promise<void>
}

/** Starts processes of a deployment that end with their test at the latest. Call it where the tests are declared. */
export function deployment(): (
  settings: Omit<ChildSettings, "ledger">,
  count: number,
) => Promise<readonly Member[]> {
  let program: Program
  let directory: string
  let started = 0
  const running: ReturnType<Program["start"]>[] = []
  beforeAll(async () => {
    program = await buildProgram(join(import.meta.dirname, "child.ts"))
    directory = await mkdtemp(join(tmpdir(), "taskora-cluster-"))
  })
  afterAll(async () => {
    program.remove()
    await rm(directory, { recursive: true, force: true })
  })
  afterEach(async () => {
    for (const child of running.splice(0)) {
      child.kill("SIGKILL")
      await exited(child)
    }
  })
  return (settings, count) =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const ledger = join(directory, `${++started}.jsonl`)
        const child = program.start({ ...settings, ledger })
        running.push(child)
        await Promise.race([
          once(child, "message"),
          exited(child).then(() => Promise.reject(new Error("the process ended before it was ready"))),
        ])
        return {
          lines: () =>
            readFileSync(ledger, { encoding: "utf8", flag: "a+" })
              .split("\n")
              .filter(Boolean)
              .map((line) => JSON.parse(line) as Line),
          async close() {
            const gone = exited(child)
            child.kill("SIGTERM")
            await gone
          },
        }
      }),
    )
}
