import type { Core } from "./store/core.ts"
import { decodeHeaders } from "./store/headers.ts"
import { decodeRecord } from "./store/record.ts"

/** A job that a call of this process cancelled, or asked to cancel, while no settlement was made of it. */
export interface Removed {
  readonly task: string
  readonly id: string
  /** Server time of the call. */
  readonly at: number
  /** The job's record before it, without its data. */
  readonly record: string
  /** Where the job was. */
  readonly state: "waiting" | "delayed" | "active"
  readonly reason?: string
}

export function tellRemoved({ observers }: Core, removed: Removed): void {
  if (!observers.watched) return
  const { task, id, at, state, reason } = removed
  const record = decodeRecord(removed.record)
  const { headers } = decodeHeaders(record?.headers ?? "")
  const common = { task, id, headers, ...(record?.run ? { previousRun: record.run } : {}) }
  if (state === "active") {
    observers.transition({ kind: "cancel requested", ...common })
    return
  }
  observers.transition({
    kind: "removed",
    ...common,
    state,
    totalMs: Math.max(0, at - (record?.lifeStart ?? at)),
    attempts: record?.attempt ?? 0,
    ...(reason === undefined ? {} : { reason }),
  })
}
