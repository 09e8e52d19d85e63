import type { Kind } from "./content.ts"
import { bytes, count, table } from "./format.ts"
import type { Tasks } from "./tasks.ts"

/** What the jobs found out, gathered from the results that travel in the `completed` events. */
export class Findings {
  private readonly kinds = new Map<Kind, { files: number; bytes: number; compressed: number }>()
  private largest: { path: string; files: number; bytes: number }[] = []
  private readonly retried = new Set<string>()
  /** A job of which a trace is worth showing: the last that completed in a later attempt, or else the last. */
  interesting: string | undefined

  constructor({ scan, summarize }: Tasks) {
    scan.on("completed", ({ id, result, attempt }) => {
      const of = this.kinds.get(result.kind) ?? { files: 0, bytes: 0, compressed: 0 }
      of.files++
      of.bytes += result.bytes
      of.compressed += result.bytes * result.ratio
      this.kinds.set(result.kind, of)
      if (attempt > 1) this.retried.add(id)
      if (attempt > 1 || this.retried.size === 0) this.interesting = id
    })
    summarize.on("completed", ({ result }) => {
      this.largest = [...this.largest, result].sort((a, b) => b.bytes - a.bytes).slice(0, 3)
    })
  }

  render(shorten: (path: string) => string): string {
    const kinds = [...this.kinds].sort(([, a], [, b]) => b.bytes - a.bytes)
    return [
      table(
        ["kind of content", "files", "size", "compresses to"],
        kinds.map(([kind, of]) => [
          kind,
          count(of.files),
          bytes(of.bytes),
          of.bytes === 0 ? "" : `${Math.round((of.compressed / of.bytes) * 100)} %`,
        ]),
      ),
      "",
      table(
        ["largest directories", "files", "size"],
        this.largest.map(({ path, files, bytes: size }) => [shorten(path), count(files), bytes(size)]),
      ),
    ].join("\n")
  }
}
