/**
 * What schema libraries have in common: Standard Schema, version 1 (https://standardschema.dev), as far as it is used here.
 * zod, valibot, arktype and others follow it; nothing need be installed for it.
 */
export interface Schema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  /** In the library's words; it may quote the value. */
  readonly message: string
  /** Where, from the outside in; absent or empty: the value as a whole. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What a schema takes, before defaults and transformations. */
export type SchemaInput<S extends Schema> = NonNullable<S["~standard"]["types"]>["input"]
/** What a schema makes of it. */
export type SchemaOutput<S extends Schema> = NonNullable<S["~standard"]["types"]>["output"]
