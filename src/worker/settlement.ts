import { describeThrown } from "../rules/thrown.ts"
import { traceToStore } from "./context.ts"
import type { Run } from "./run.ts"

const mostRuns = 100
const mostItems = 200
const mostBytes = 1_048_576

/** A batch of ended runs as the script takes them. */
export interface Batch {
  readonly runs: readonly Run[]
  readonly args: readonly (string | number)[]
  /** For each item of `args`, its run; reports of progress, JSON, stand before their run's outcome. */
  readonly items: readonly { readonly run: Run; readonly progress: string | undefined }[]
}

/** Takes ended runs from the head of `ended`: at most `most`, and no more than one call may carry. */
export function takeBatch(ended: Run[], most = mostRuns): Batch {
  const runs: Run[] = []
  const args: (string | number)[] = []
  const items: { run: Run; progress: string | undefined }[] = []
  let bytes = 0
  const count = Math.min(most, mostRuns, ended.length)
  while (runs.length < count) {
    const run = ended[runs.length]!
    const body = settlementBody(run)
    const reports = run.reports?.all ?? []
    bytes += body.length
    for (const report of reports) bytes += report.length
    if (runs.length > 0 && (bytes > mostBytes || items.length + reports.length >= mostItems)) break
    for (const progress of reports) {
      args.push(run.id, run.lease.token, "progress", 0, "", progress)
      items.push({ run, progress })
    }
    args.push(run.id, run.lease.token, run.ending!.kind, Math.round(run.durationMs), traceToStore(run), body)
    items.push({ run, progress: undefined })
    runs.push(run)
  }
  ended.splice(0, runs.length)
  return { runs, args, items }
}

function settlementBody(run: Run): string {
  const ending = run.ending!
  switch (ending.kind) {
    case "completed":
      return ending.result
    case "failed":
      return failureBody(ending.error)
    case "retried":
      return `${Math.round(ending.delayMs)}\n${failureBody(ending.error)}`
    case "cancelled":
      return ending.reason === undefined ? "" : JSON.stringify(ending.reason)
    case "released":
    case "lost":
      return ""
  }
}

/** The message alone, for the event, and the whole error, for the record; both JSON, so on one line each. */
function failureBody(error: unknown): string {
  const thrown = describeThrown(error)
  return `${JSON.stringify(thrown.message)}\n${JSON.stringify(thrown)}`
}
