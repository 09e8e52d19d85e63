import { type Duration, durationMs, show } from "../model/duration.ts"
import {
  CancelledError,
  RetryError,
  SerializationError,
  StalledError,
  TaskoraError,
  TimeoutError,
  ValidationError,
} from "../model/errors.ts"
import { checkNames, invalid, wholeNumber } from "../model/options.ts"
import { describeThrown } from "./thrown.ts"

// A class of errors as users name it; its constructor's parameters are of no concern here.
type ErrorClass = abstract new (...args: never[]) => Error

export interface RetryOptions {
  /** Total number of runs, the first one included. Default 1: no retry. */
  readonly attempts?: number
  /** How the delay grows; a function gets the number of the attempt that failed. Default "exponential". */
  readonly backoff?: "fixed" | "linear" | "exponential" | ((attempt: number) => number)
  /** Default 1 s. */
  readonly delay?: Duration
  /** Upper bound of the delay, before jitter. Default: none. */
  readonly maxDelay?: Duration
  /** Spreads each delay by up to 25 % either way. Default true; not applied to a function's delays. */
  readonly jitter?: boolean
  /** Retries only errors of these classes (also those that are not retried otherwise). */
  readonly retryOn?: readonly ErrorClass[]
  /** Never retries errors of these classes. */
  readonly noRetryOn?: readonly ErrorClass[]
}

export interface Retry {
  readonly attempts: number
  readonly backoff: NonNullable<RetryOptions["backoff"]>
  readonly delayMs: number
  readonly maxDelayMs: number
  readonly jitter: boolean
  readonly retryOn: readonly ErrorClass[] | undefined
  readonly noRetryOn: readonly ErrorClass[]
}

export const noRetry: Retry = Object.freeze({
  attempts: 1,
  backoff: "exponential",
  delayMs: 1000,
  maxDelayMs: Number.POSITIVE_INFINITY,
  jitter: true,
  retryOn: undefined,
  noRetryOn: [],
})

const retryNames = ["attempts", "backoff", "delay", "maxDelay", "jitter", "retryOn", "noRetryOn"]

export function resolveRetry(options: RetryOptions, what: string): Retry {
  checkNames(options, retryNames, what)
  const { attempts = 1, backoff = "exponential", delay = 1000, maxDelay, jitter = true } = options
  if (typeof backoff !== "function" && !["fixed", "linear", "exponential"].includes(backoff))
    throw invalid(
      `${what}.backoff must be "fixed", "linear", "exponential" or a function, not ${show(backoff)}`,
    )
  if (typeof jitter !== "boolean") throw invalid(`${what}.jitter must be true or false, not ${show(jitter)}`)
  return {
    attempts: wholeNumber(attempts, `${what}.attempts`, 1, 1_000_000),
    backoff,
    delayMs: durationMs(delay, `${what}.delay`),
    maxDelayMs: maxDelay === undefined ? Number.POSITIVE_INFINITY : durationMs(maxDelay, `${what}.maxDelay`),
    jitter,
    retryOn: options.retryOn && classes(options.retryOn, `${what}.retryOn`),
    noRetryOn: classes(options.noRetryOn ?? [], `${what}.noRetryOn`),
  }
}

function classes(list: unknown, what: string): readonly ErrorClass[] {
  if (Array.isArray(list) && list.every(isClass)) return list
  throw invalid(`${what} must be a list of error classes, such as [TypeError]; a function cannot decide here`)
}

/** Without a prototype there is nothing that an error could be an instance of, and `instanceof` would throw. */
function isClass(item: unknown): boolean {
  return typeof item === "function" && typeof item.prototype === "object" && item.prototype !== null
}

const finalClasses = [ValidationError, TimeoutError, CancelledError, SerializationError, StalledError]

function namesFinal(type: ErrorClass): boolean {
  return finalClasses.some((final) => type === final || type.prototype instanceof final)
}

/** Whether this error is one that the options retry, attempts aside. */
export function isRetryable(error: unknown, retry: Retry): boolean {
  if (error instanceof RetryError) return true
  if (retry.noRetryOn.some((type) => error instanceof type)) return false
  const isFinal = finalClasses.some((type) => error instanceof type)
  if (!retry.retryOn) return !isFinal
  // `Error` does not name what another attempt cannot mend.
  return retry.retryOn.some((type) => error instanceof type && (!isFinal || namesFinal(type)))
}

/**
 * Delay before the attempt after `attempt`, in whole ms. Exponential: `delay * 2^(attempt - 1)`; linear: `delay * attempt`.
 * @throws TaskoraError (`INVALID`) where a function gives no such delay
 */
export function backoffMs(retry: Retry, attempt: number, random: () => number = Math.random): number {
  if (typeof retry.backoff === "function")
    return durationMs(given(retry.backoff, attempt), "backoff(attempt)")
  const growth = { fixed: 1, linear: attempt, exponential: 2 ** (attempt - 1) }[retry.backoff]
  const bounded = Math.min(retry.delayMs * growth, retry.maxDelayMs, longestBackoffMs)
  return Math.round(retry.jitter ? bounded * (0.75 + random() / 2) : bounded)
}

/** A year: exponential growth must stop somewhere. */
const longestBackoffMs = 365 * 86_400_000

function given(backoff: (attempt: number) => number, attempt: number): number {
  try {
    return backoff(attempt)
  } catch (error) {
    throw new TaskoraError(`backoff(${attempt}) threw: ${describeThrown(error).message}`, "INVALID")
  }
}
