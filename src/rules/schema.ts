import { show } from "../model/duration.ts"
import { ValidationError } from "../model/errors.ts"
import { invalid } from "../model/options.ts"
import type { Schema, SchemaIssue, SchemaResult } from "../model/standard-schema.ts"

const mostIssues = 5

/**
 * What the schema makes of the value; a promise only where the schema gives one, so that the usual case costs none.
 * `what` names the value in messages.
 * @throws ValidationError, or rejects with it
 */
export function validate(schema: Schema, value: unknown, what: string): unknown {
  const result = schema["~standard"].validate(value)
  if ("then" in result) return Promise.resolve(result).then((later) => validated(later, what))
  return validated(result, what)
}

function validated(result: SchemaResult<unknown>, what: string): unknown {
  if (!result.issues) return (result as { readonly value: unknown }).value
  const { issues } = result
  const texts = issues.slice(0, mostIssues).map(issueText)
  if (issues.length > mostIssues) texts.push(`and ${issues.length - mostIssues} more`)
  throw new ValidationError(`${what} does not match its schema: ${texts.join("; ")}`, { issues })
}

function issueText({ message, path = [] }: SchemaIssue): string {
  const keys = path.map((part) => String(typeof part === "object" ? part.key : part))
  return keys.length > 0 ? `${keys.join(".")}: ${message}` : message
}

/** @throws TaskoraError (`INVALID`) for what follows no Standard Schema */
export function checkSchema(schema: unknown, what: string): Schema | undefined {
  if (schema === undefined) return undefined
  // Some libraries' schemas are functions.
  const asked = typeof schema === "object" || typeof schema === "function" ? (schema as Schema | null) : null
  if (typeof asked?.["~standard"]?.validate === "function") return asked
  throw invalid(
    `${what} must be a schema of a library that follows Standard Schema, such as zod, valibot or arktype, not ${show(schema)}`,
  )
}
