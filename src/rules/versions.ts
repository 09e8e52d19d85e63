import { show } from "../model/duration.ts"
import { ValidationError } from "../model/errors.ts"
import { checkNames, invalid, wholeNumber } from "../model/options.ts"
import type { Schema, SchemaInput } from "../model/standard-schema.ts"
import { checkSchema, validate } from "./schema.ts"

/** Takes any one parameter, whether or not its type is said. */
type Upgrade = { bivariant(data: unknown): unknown }["bivariant"]

/** By the version that data has: what makes data of the next version of it. One for each from `since` to `version - 1`. */
export type MigrationRecord = Readonly<Record<number, Upgrade>>

/** Made by `into()`. */
export interface MigrationStep<From = never, S extends Schema = Schema> {
  readonly schema: S
  readonly upgrade: (data: From) => SchemaInput<S> | Promise<SchemaInput<S>>
}

export type Migrations = MigrationRecord | readonly MigrationStep[]

/**
 * One step of `migrate`: makes data of the next version, which `schema` describes, of data of the version before. What the
 * function gives is checked against the schema, and handed on as it is (a version's data is always what its schema takes,
 * not what it makes of it).
 *
 * `migrate: [into(v2, (data: V1) => ({ ...data, name: data.first }))]`
 * @throws TaskoraError (`INVALID`) for what is no schema or no function
 */
export function into<From, S extends Schema>(
  schema: S,
  upgrade: (data: From) => SchemaInput<S> | Promise<SchemaInput<S>>,
): MigrationStep<From, S> {
  if (checkSchema(schema, "into: the first argument") === undefined)
    throw invalid("into(schema, function): the schema is missing")
  if (typeof upgrade !== "function") throw invalid(`into(schema, function): ${show(upgrade)} is no function`)
  return Object.freeze({ schema, upgrade })
}

/** The versions of a task's data. */
export interface Versions {
  /** What this process dispatches, and what its handler gets. */
  readonly version: number
  /** The oldest that it takes. */
  readonly since: number
  /** The first one makes `since + 1` of `since`. Empty: older data goes to the handler as it is. */
  readonly steps: readonly Step[]
}

type Step = { readonly upgrade: (data: unknown) => unknown; readonly schema: Schema | undefined }

export interface VersionOptions {
  /** Of the data that this process dispatches and its handler takes. Default 1. Workers leave newer jobs to newer workers. */
  readonly version?: number | undefined
  /** The oldest version that the handler still takes; older jobs fail. Default 1. */
  readonly since?: number
  /**
   * Brings older data up to date before it is validated, when its job runs. A record by the version that data has, or a list
   * of `into(schema, function)`: then `version` is `since` and the list's length. Default: data goes on as it is.
   */
  readonly migrate?: Migrations
}

/** Beyond it, scores in the store would not be exact. */
export const highestVersion = 1_000_000

/** @throws TaskoraError (`INVALID`) naming what does not go together */
export function resolveVersions({ version, since = 1, migrate }: VersionOptions, what: string): Versions {
  wholeNumber(since, `${what}: since`, 1, highestVersion)
  if (Array.isArray(migrate)) return stepsAsGiven(migrate as readonly unknown[], { version, since }, what)
  const own = wholeNumber(version ?? 1, `${what}: version`, 1, highestVersion)
  if (since > own) throw invalid(`${what}: since (${since}) is above version (${own}); no job could ever run`)
  if (migrate === undefined) return { version: own, since, steps: [] }
  return {
    version: own,
    since,
    steps: stepsByVersion(migrate as MigrationRecord, { version: own, since }, what),
  }
}

function stepsAsGiven(
  list: readonly unknown[],
  { version, since }: { readonly version: number | undefined; readonly since: number },
  what: string,
): Versions {
  const made = wholeNumber(
    since + list.length,
    `${what}: since + the number of migrations`,
    1,
    highestVersion,
  )
  if (version !== undefined && version !== made)
    throw invalid(
      `${what}: ${list.length} migrations from version ${since} on make version ${made}, not ${show(version)}; leave out version, or add what is missing`,
    )
  const steps = list.map((item, i) => {
    const { schema, upgrade } = (item ?? {}) as Partial<MigrationStep>
    if (typeof upgrade !== "function")
      throw invalid(`${what}: migrate[${i}] must be made by into(schema, function), not ${show(item)}`)
    return { upgrade: upgrade as Step["upgrade"], schema: checkSchema(schema, `${what}: migrate[${i}]`) }
  })
  return { version: made, since, steps }
}

function stepsByVersion(
  record: MigrationRecord,
  { version, since }: { readonly version: number; readonly since: number },
  what: string,
): readonly Step[] {
  const wanted = Array.from({ length: version - since }, (_, i) => since + i)
  checkNames(record, wanted.map(String), `${what}: migrate (versions ${since} to ${version - 1})`)
  return wanted.map((from) => {
    const upgrade: unknown = record[from]
    if (typeof upgrade === "function") return { upgrade: upgrade as Step["upgrade"], schema: undefined }
    throw invalid(
      `${what}: migrate[${from}] must be a function that makes data of version ${from + 1}, not ${show(upgrade)}; or raise since`,
    )
  })
}

/**
 * Data of a version as data of the current one. `what` names the data.
 * @throws ValidationError for a version that the task does not take, and what a step throws
 */
export async function upgradeData(
  data: unknown,
  from: number,
  { versions, what }: { readonly versions: Versions; readonly what: string },
): Promise<unknown> {
  const { version, since, steps } = versions
  if (from < since)
    throw new ValidationError(
      `${what} is of version ${from}, and version ${since} is the oldest that this worker takes (since); lower since and migrate it, or dispatch it anew`,
    )
  if (from > version)
    throw new ValidationError(`${what} is of version ${from}, newer than version ${version} of this worker`)
  let current = data
  for (const [i, { upgrade, schema }] of steps.slice(from - since).entries()) {
    current = await upgrade(current)
    if (schema) await validate(schema, current, `${what}, migrated to version ${from + i + 1},`)
  }
  return current
}
