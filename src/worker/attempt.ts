import type { MiddlewareContext } from "../model/context.ts"
import { PayloadTooLargeError, RetryError, SerializationError, TaskoraError } from "../model/errors.ts"
import { dataIn, resultOut } from "../rules/checks.ts"
import { type Definition, retryOf } from "../rules/definition.ts"
import { type Middleware, runMiddleware } from "../rules/middleware.ts"
import { backoffMs, isRetryable } from "../rules/retry.ts"
import type { Codec } from "../rules/serializer.ts"
import { describeThrown, tame } from "../rules/thrown.ts"
import { RunContext, type Voice } from "./context.ts"
import type { Ending, Run } from "./run.ts"

/** What an attempt needs beside its run. */
export interface Stage {
  readonly definition: Definition
  readonly middleware: readonly Middleware<MiddlewareContext>[]
  readonly codec: Codec
  readonly payloadBytes: number
  readonly voice: Voice
}

/**
 * Runs everything of the user's for one attempt and says how it ended. Never throws. Without `async`, for the sake of as few
 * promises as can be: where a context is kept (AsyncLocalStorage before Node 24), each of them costs.
 */
export function perform(run: Run, stage: Stage): Promise<Ending> {
  const failed = (error: unknown): Ending => judge(error, run, stage.definition)
  const completed = (result: unknown): Ending => {
    try {
      return { kind: "completed", result: encodeResult(result, run, stage) }
    } catch (error) {
      return failed(error)
    }
  }
  try {
    const data = decodeData(run, stage)
    const ran = stage.definition.checks ? checkedRun(run, stage, data) : callHandler(run, stage, data)
    return Promise.resolve(ran).then(completed, failed)
  } catch (error) {
    return Promise.resolve(failed(error))
  }
}

/** What a failed attempt comes to: another attempt after a while, or failure for good. */
export function judge(thrown: unknown, run: Run, definition: Definition): Ending {
  const error = tame(thrown)
  const retry = retryOf(definition)
  const { attempt } = run.attempt
  try {
    if (attempt >= retry.attempts || !isRetryable(error, retry)) return { kind: "failed", error }
    const asked = error instanceof RetryError ? error.delayMs : undefined
    return { kind: "retried", error, delayMs: asked ?? backoffMs(retry, attempt) }
  } catch (ruleError) {
    // The user's backoff function, or a class in `retryOn` that decides for itself.
    const broken = describeThrown(ruleError).message
    const message = `${broken}; the attempt had failed with: ${describeThrown(error).message}`
    return { kind: "failed", error: new TaskoraError(message, "INVALID", { cause: error }) }
  }
}

/** As a handler gets it. @throws SerializationError, ValidationError, and what migrations throw */
export async function inputOf(run: Run, stage: Stage): Promise<unknown> {
  const data = decodeData(run, stage)
  const { checks } = stage.definition
  return checks ? dataIn(checks, data, { version: run.lease.version, what: dataName(run) }) : data
}

async function checkedRun(run: Run, stage: Stage, stored: unknown): Promise<unknown> {
  const checks = stage.definition.checks!
  const data = await dataIn(checks, stored, { version: run.lease.version, what: dataName(run) })
  // Cancelled, timed out or lost meanwhile: there is nothing to begin any more.
  if (run.aborted) throw run.aborted
  return resultOut(checks, await callHandler(run, stage, data), resultName(run))
}

function dataName({ attempt: { id, task } }: Run): string {
  return `data of job ${id} of task "${task}"`
}

function resultName({ attempt: { id, task } }: Run): string {
  return `result of job ${id} of task "${task}"`
}

function decodeData(run: Run, stage: Stage): unknown {
  const what = dataName(run)
  if (run.lease.damaged)
    throw new SerializationError(`${what} could not be read: its stored record is damaged`)
  return stage.codec.decode(run.lease.data, what)
}

function callHandler(run: Run, { definition, middleware, voice }: Stage, data: unknown): unknown {
  const ctx = new RunContext(run, voice, data)
  const handler = definition.handler
  if (!handler) throw new TaskoraError(`task "${definition.name}" has no handler here`, "INVALID")
  if (middleware.length === 0) return handler(ctx.data, ctx)
  const ran = runMiddleware<MiddlewareContext>(middleware, ctx, async () => {
    ctx.result = await handler(ctx.data, ctx)
  })
  return ran.then(() => ctx.result)
}

function encodeResult(result: unknown, run: Run, stage: Stage): string {
  const what = resultName(run)
  const text = stage.codec.encode(result, what)
  const bytes = text.length * 3 > stage.payloadBytes ? Buffer.byteLength(text) : 0
  if (bytes > stage.payloadBytes)
    throw new PayloadTooLargeError(
      `${what} takes ${bytes} bytes; at most ${stage.payloadBytes} are allowed (limits.payloadBytes)`,
      bytes,
      stage.payloadBytes,
    )
  return text
}
