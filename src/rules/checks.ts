import type { Schema } from "../model/standard-schema.ts"
import { checkSchema, validate } from "./schema.ts"
import { resolveVersions, upgradeData, type VersionOptions, type Versions } from "./versions.ts"

/** What becomes of a task's data and results on the way; a task without schemas and versions has none. */
export interface Checks {
  readonly input: Schema | undefined
  readonly output: Schema | undefined
  readonly versions: Versions
}

export interface CheckOptions extends VersionOptions {
  readonly input?: Schema | undefined
  readonly output?: Schema | undefined
}

export const checkOptionNames = ["input", "output", "version", "since", "migrate"]

/** Undefined for tasks that need no checks. @throws TaskoraError (`INVALID`) */
export function resolveChecks(options: CheckOptions, what: string): Checks | undefined {
  const input = checkSchema(options.input, `${what}: input`)
  const output = checkSchema(options.output, `${what}: output`)
  const versions = resolveVersions(options, what)
  return input || output || versions.version > 1 ? { input, output, versions } : undefined
}

/** The data that the handler gets: brought up to date, then validated. @throws ValidationError, and what migrations throw */
export async function dataIn(
  checks: Checks,
  data: unknown,
  of: { version: number; what: string },
): Promise<unknown> {
  const current = await upgradeData(data, of.version, { versions: checks.versions, what: of.what })
  return checks.input ? validate(checks.input, current, of.what) : current
}

/** The result that is stored. @throws ValidationError */
export async function resultOut(checks: Checks, result: unknown, what: string): Promise<unknown> {
  return checks.output ? validate(checks.output, result, what) : result
}
