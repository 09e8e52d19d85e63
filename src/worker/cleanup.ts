import { within } from "../model/clock.ts"
import { TaskoraError } from "../model/errors.ts"
import type { Definition } from "../rules/definition.ts"
import type { Core } from "../store/core.ts"
import { inputOf, type Stage } from "./attempt.ts"
import { RunContext } from "./context.ts"
import type { Run } from "./run.ts"

const longestMs = 5000

/** Runs the task's `onCancel` in the handler's context, for at most 5 s. Its error is reported and changes nothing. */
export async function cleanUp(
  run: Run,
  { onCancel }: Definition,
  { core, stage }: { readonly core: Core; readonly stage: Stage },
): Promise<void> {
  const { enter } = run
  if (!onCancel || !enter) return
  try {
    const cleaned = enter(async () => {
      const data = run.lease.damaged ? undefined : await inputOf(run, stage)
      await onCancel(data, new RunContext(run, stage.voice, data))
    })
    const late = () => {
      throw new TaskoraError(
        `onCancel of task "${run.attempt.task}" took longer than ${longestMs} ms`,
        "TIMEOUT",
      )
    }
    await within(core.link.clock, cleaned, { ms: longestMs, late })
  } catch (error) {
    core.report(error, "other")
  }
}
