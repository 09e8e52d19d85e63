import { show } from "../model/duration.ts"
import { CancelledError, ExpiredError, type TaskoraError, WorkflowFailedError } from "../model/errors.ts"
import { invalid } from "../model/options.ts"
import type { Graph } from "./graph.ts"
import { nodeJobId } from "./node-worker.ts"
import type { WorkflowHead } from "./workflow-store.ts"

/** What a workflow is called: as its dispatcher says, else by its tasks. @throws TaskoraError (`INVALID`) */
export function workflowName(given: unknown, { nodes }: Graph): string {
  if (given === undefined) {
    const tasks = [...new Set(nodes.flatMap(({ task }) => (task ? [task.name] : [])))]
    return tasks.slice(0, 3).join(" ").slice(0, 200) + (tasks.length > 3 ? " ..." : "") || "workflow"
  }
  if (typeof given === "string" && /^[^\u0000-\u001f\u007f]{1,200}$/.test(given) && given.isWellFormed())
    return given
  throw invalid(
    `workflow: name ${show(given)} is not allowed; use 1 to 200 characters, no control characters`,
  )
}

/** An error's message out of its JSON, as JSON. */
export function messageOf(error: string): string {
  return JSON.stringify((JSON.parse(error || "{}") as { message?: string }).message ?? "unknown error")
}

/** What the result of a workflow rejects with that did not complete. */
export function endError(id: string, { state, error, failed }: WorkflowHead): TaskoraError {
  if (state === "cancelled") {
    const reason = error === "" ? undefined : (JSON.parse(error) as string)
    return new CancelledError(
      `workflow ${id} was cancelled${reason === undefined ? "" : `: ${reason}`}`,
      reason,
    )
  }
  const cause = Object.assign(new Error("unknown error"), JSON.parse(error || "{}") as object)
  if (failed === "" && cause.name === "ExpiredError")
    return new ExpiredError(`workflow ${id}: ${cause.message}`)
  const node = failed === "" ? undefined : nodeJobId(id, failed)
  const where = node === undefined ? "" : `, since job ${node} did`
  return new WorkflowFailedError(`workflow ${id} failed${where}: ${cause.message}`, node, { cause })
}
