import type { Core } from "../store/core.ts"
import { decodeHeaders } from "../store/headers.ts"
import { decodeRecord } from "../store/record.ts"
import type { Expired } from "../store/replies.ts"

/** Tells of jobs that were not started in time, which this process noticed at `at`, server time. */
export function tellExpired(
  jobs: readonly Expired[],
  at: number,
  { core, task }: { readonly core: Core; readonly task: string },
): void {
  if (!core.observers.watched) return
  for (const { id, record: text } of jobs) {
    const record = decodeRecord(text)
    core.observers.transition({
      kind: "expired",
      task,
      id,
      discarded: record?.terms?.discard ?? false,
      totalMs: Math.max(0, at - (record?.lifeStart ?? at)),
      attempts: record?.attempt ?? 0,
      headers: decodeHeaders(record?.headers ?? "").headers,
      ...(record?.run ? { previousRun: record.run } : {}),
    })
  }
}
