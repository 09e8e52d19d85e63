import { StalledError } from "../model/errors.ts"
import type { Core } from "../store/core.ts"
import { decodeHeaders } from "../store/headers.ts"
import { decodeRecord } from "../store/record.ts"
import type { Stalled } from "../store/upkeep-reply.ts"
import type { Slots } from "./slots.ts"

/** Tells what this process's recovery did with one lost lease. */
export function tellStalled(
  stalled: Stalled,
  at: number,
  { core, slots }: { readonly core: Core; readonly slots: Slots },
): void {
  const { definition } = slots
  const { id, action, count } = stalled
  const record = decodeRecord(stalled.record)
  const attempt = record?.attempt ?? 1
  if (action === "failed") {
    core.logFailure({
      task: definition.name,
      id,
      attempt,
      willRetry: false,
      text: String(new StalledError(`job stalled ${count} times; its workers vanished while it ran`)),
      ...(definition.retry ? { maxAttempts: definition.retry.attempts } : {}),
    })
  }
  if (!core.observers.watched) return
  const { headers } = decodeHeaders(record?.headers ?? "")
  const common = {
    task: definition.name,
    id,
    headers,
    totalMs: Math.max(0, at - (record?.lifeStart ?? at)),
    ...(record?.run ? { previousRun: record.run } : {}),
  }
  if (action === "cancelled") {
    const reason = stalled.reason === "" ? {} : { reason: JSON.parse(stalled.reason) as string }
    core.observers.transition({ kind: "removed", ...common, ...reason, state: "active", attempts: attempt })
    return
  }
  core.observers.transition({
    kind: "stalled",
    ...common,
    action,
    count,
    attempt,
    recoveryMs: Math.max(0, at - stalled.deadline),
  })
}
