import { randomBytes } from "node:crypto"
import { show } from "./duration.ts"
import { TaskoraError } from "./errors.ts"

/** Checks a task's name. @throws TaskoraError (`INVALID`) */
export function checkTaskName(name: unknown): string {
  if (typeof name === "string" && /^[A-Za-z0-9_\-.:/]{1,200}$/.test(name)) return name
  throw new TaskoraError(
    `task name ${show(name)} is not allowed; use 1 to 200 characters of A-Z a-z 0-9 _ - . : /`,
    "INVALID",
  )
}

/** Checks a job id given by the user. @throws TaskoraError (`INVALID`) */
export function checkJobId(id: unknown): string {
  if (typeof id === "string" && isJobId(id)) return id
  throw new TaskoraError(
    `job id ${show(id)} is not allowed; use text of 1 to 128 bytes without control characters`,
    "INVALID",
  )
}

/** Checks a key given by the user: as job ids. `what` names the option. @throws TaskoraError (`INVALID`) */
export function checkKey(key: unknown, what: string): string {
  if (typeof key === "string" && isJobId(key)) return key
  throw new TaskoraError(
    `${what}: ${show(key)} is not allowed; use text of 1 to 128 bytes without control characters`,
    "INVALID",
  )
}

function isJobId(id: string): boolean {
  if (id.length === 0 || id.length > 128 || Buffer.byteLength(id) > 128) return false
  return !/[\u0000-\u001f\u007f]/.test(id) && id.isWellFormed()
}

/** Checks a key prefix: no braces, which would take over the cluster's hash tag. @throws TaskoraError (`INVALID`) */
export function checkPrefix(prefix: unknown): string {
  if (prefix === undefined) return ""
  if (typeof prefix === "string" && /^[^{}\u0000-\u001f\u007f]{0,200}$/.test(prefix)) return prefix
  throw new TaskoraError(
    `prefix ${show(prefix)} is not allowed; use at most 200 characters, no braces, no control characters`,
    "INVALID",
  )
}

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
let pool = new Uint8Array(0)
let next = 0

/** A new job id: 16 random lower-case alphanumerics (82 bits). */
export function newId(): string {
  let id = ""
  while (id.length < 16) {
    if (next === pool.length) {
      pool = randomBytes(4096)
      next = 0
    }
    const byte = pool[next++]!
    // 252 is the largest multiple of 36 below 256: beyond it some letters would come more often.
    if (byte < 252) id += alphabet[byte % 36]
  }
  return id
}
