import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

type What = "began" | "ended" | "aborted"

export interface LedgerLine {
  readonly what: What
  readonly id: string
  readonly attempt: number
  readonly pid: number
  /** ms since the epoch. */
  readonly at: number
  /** Of an abort: the code of its reason. */
  readonly reason: string
}

/** What handlers wrote of their own runs, in one file for all processes; a killed process leaves its lines. */
export class Ledger {
  constructor(readonly path: string) {}

  write(what: What, id: string, attempt: number, reason = ""): void {
    appendFileSync(this.path, `${[what, id, attempt, process.pid, Date.now(), reason].join("\t")}\n`)
  }

  read(): LedgerLine[] {
    return readFileSync(this.path, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [what, id, attempt, pid, at, reason] = line.split("\t") as [
          What,
          string,
          string,
          string,
          string,
          string,
        ]
        return { what, id, attempt: Number(attempt), pid: Number(pid), at: Number(at), reason }
      })
  }

  of(what: What): LedgerLine[] {
    return this.read().filter((line) => line.what === what)
  }

  remove(): void {
    rmSync(dirname(this.path), { recursive: true, force: true })
  }
}

export function newLedger(): Ledger {
  const path = join(mkdtempSync(join(tmpdir(), "taskora-ledger-")), "ledger")
  writeFileSync(path, "")
  return new Ledger(path)
}

/** How often each id occurs. */
export function tally(ids: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}
