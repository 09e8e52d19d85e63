import { show } from "../model/duration.ts"
import { checkNames, invalid } from "../model/options.ts"

/** What a failed job's error is known by. */
export interface ErrorKey {
  /** Class name of what was thrown. */
  readonly type: string
  /** The message without what differs from job to job, as `inspect().groups()` tells it. */
  readonly message: string
}

/** Which failed jobs are meant: those with an error of this class, or with this message too. */
export type ErrorFilter = string | { readonly type: string; readonly message?: string }

const longestRead = 2048
const longestMessage = 256

const quoted = /"[^"]*"|`[^`]*`|(?<!\w)'[^']*'(?!\w)/g
const uuid = /\b[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}\b/gi
const hex = /\b0x[\da-f]+\b|\b(?=[a-f]*\d)[\da-f]{8,}\b/gi
/** Ids as we make them, and longer ones of others: a digit tells them from words. */
const id = /\b(?=[a-z_-]*\d)[\w-]{16,}\b/gi
const number = /\d+(?:[.,:]\d+)*/g

/** A message without numbers, ids, uuids, hexadecimal numbers and quoted texts, so that alike failures read alike. */
export function normalised(message: string): string {
  return message
    .slice(0, longestRead)
    .replace(quoted, "<text>")
    .replace(uuid, "<uuid>")
    .replace(hex, "<hex>")
    .replace(id, "<id>")
    .replace(number, "<n>")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, longestMessage)
}

/** Of an error as a job's record has it, JSON; "" where the record is gone. */
export function errorKey(outcome: string): ErrorKey {
  const { name, message } = parsed(outcome)
  return {
    type: typeof name === "string" && name !== "" ? name : "Error",
    message: typeof message === "string" ? normalised(message) : "",
  }
}

function parsed(outcome: string): { readonly name?: unknown; readonly message?: unknown } {
  try {
    const error: unknown = JSON.parse(outcome)
    return typeof error === "object" && error !== null ? error : {}
  } catch {
    // What is damaged counts as an error of which nothing is known.
    return {}
  }
}

/** @throws TaskoraError (`INVALID`) where the filter is none */
export function errorMatcher(filter: ErrorFilter | undefined, where: string): (outcome: string) => boolean {
  if (filter === undefined) return () => true
  const { type, message } = typeof filter === "string" ? { type: filter, message: undefined } : filter
  if (typeof filter !== "string") checkNames(filter, ["type", "message"], `${where}: error`)
  if (typeof type !== "string" || type === "" || (message !== undefined && typeof message !== "string"))
    throw invalid(`${where}: error is a class name or { type, message }, not ${show(filter)}`)
  return (outcome) => {
    const key = errorKey(outcome)
    return key.type === type && (message === undefined || key.message === message)
  }
}
