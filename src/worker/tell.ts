import { RetryError, StalledError, TimeoutError } from "../model/errors.ts"
import type { FailureCause, Transition } from "../model/observer.ts"
import type { Definition } from "../rules/definition.ts"
import { describeThrown, errorType } from "../rules/thrown.ts"
import type { Core } from "../store/core.ts"
import { missedAttempt } from "./claimed.ts"
import type { Run } from "./run.ts"

/** What the store made of one settlement. */
export interface Verdict {
  /** A letter of `SettleReply.words`. */
  readonly word: string
  /** Server time. */
  readonly at: number
  /** Of the request that turned the settlement into a cancellation. */
  readonly reason: string | undefined
}

/** Tells the observers, and the error log, how a run really ended. */
export function tellEnding(run: Run, verdict: Verdict, core: Core, definition: Definition): void {
  if (verdict.word === "f" || verdict.word === "r") logFailure(run, verdict.word === "r", core, definition)
  if (!core.observers.watched) return
  for (const transition of endingTransitions(run, verdict)) core.observers.transition(transition)
}

/** The store has counted an attempt of which nothing ran here: its lease was over before this process heard of it. */
export function tellMissed(
  id: string,
  at: number,
  { core, definition }: { readonly core: Core; readonly definition: Definition },
): void {
  const { observers, link } = core
  if (!observers.watched) return
  const attempt = missedAttempt(id, at, { definition, worker: link.instance })
  observers.attempt(attempt, () => observers.transition({ kind: "active", attempt }))
  observers.transition({ kind: "lost", attempt, durationMs: 0 })
}

function endingTransitions(run: Run, { word, at, reason }: Verdict): readonly Transition[] {
  const { attempt, durationMs, ending } = run
  const totalMs = Math.max(0, at - attempt.lifeStart)
  switch (word) {
    case "c": {
      const result = ending?.kind === "completed" ? ending.result : ""
      return [{ kind: "completed", attempt, durationMs, totalMs, resultBytes: Buffer.byteLength(result) }]
    }
    case "f":
      return [{ ...failure(run), willRetry: false, totalMs }]
    case "r": {
      const delayMs = ending?.kind === "retried" ? ending.delayMs : 0
      return [
        { ...failure(run), willRetry: true, delayMs },
        { kind: "retrying", attempt, nextAttempt: attempt.attempt + 1, delayMs },
      ]
    }
    case "x":
      return [
        { kind: "cancelled", attempt, durationMs, totalMs, ...(reason === undefined ? {} : { reason }) },
      ]
    case "b":
      return [{ kind: "released", attempt, durationMs }]
    default:
      return [{ kind: "lost", attempt, durationMs }]
  }
}

function failure(run: Run) {
  const error = run.ending && "error" in run.ending ? run.ending.error : undefined
  return {
    kind: "failed" as const,
    attempt: run.attempt,
    durationMs: run.durationMs,
    cause: causeOf(error),
    errorType: errorType(error),
    error,
  }
}

function causeOf(error: unknown): FailureCause {
  if (error instanceof TimeoutError) return "timeout"
  return error instanceof StalledError ? "stalled" : "error"
}

function logFailure(run: Run, willRetry: boolean, core: Core, definition: Definition): void {
  const error = run.ending && "error" in run.ending ? run.ending.error : undefined
  const { task, id, attempt, trace } = run.attempt
  const thrown = describeThrown(error)
  core.logFailure({
    task,
    id,
    attempt,
    willRetry,
    text: error instanceof RetryError ? `RetryError: ${thrown.message}` : thrown.stack,
    ...(definition.retry ? { maxAttempts: definition.retry.attempts } : {}),
    ...(trace ? { trace } : {}),
  })
}
