import type { Context, Inspector } from "../../src/index.ts"
import type { FileReport } from "./scan.ts"

export interface DirectoryJob {
  readonly path: string
  /** Ids of the jobs of its files. */
  readonly files: readonly string[]
}

export interface DirectoryReport {
  readonly path: string
  readonly files: number
  readonly unread: number
  readonly bytes: number
}

/** The handler of `summarize-directory`: adds up what the jobs of the directory's files found, whichever process ran them. */
export function summarizeDirectory(inspect: () => Inspector) {
  return async ({ path, files }: DirectoryJob, ctx: Context): Promise<DirectoryReport> => {
    const report = { path, files: 0, unread: 0, bytes: 0 }
    let unfinished = 0
    for (const id of files) {
      ctx.signal.throwIfAborted()
      const job = await inspect().find(id, { task: "scan-file" })
      if (job?.state === "completed") {
        report.files++
        report.bytes += (job.result as FileReport).bytes
      } else if (job === undefined || job.state === "failed" || job.state === "cancelled") {
        report.unread++
      } else {
        unfinished++
      }
    }
    if (unfinished > 0) throw ctx.retry({ delay: "1s", reason: `${unfinished} of its files are not done` })
    return report
  }
}
