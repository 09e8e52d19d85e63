import { type } from "arktype"
import * as v from "valibot"
import { z } from "zod"
import {
  type App,
  defineTask,
  type InferInput,
  type InferOutput,
  into,
  type Schema,
  staticContract,
} from "../../src/index.ts"

// Nothing here runs: the compiler is the test.

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function is<_T extends true>(): void {}

/** zod: what goes in and what comes out differ. */
export function typesOfZod(taskora: App): void {
  const task = taskora.task("zod", {
    input: z.object({
      to: z.string(),
      at: z.string().transform((text) => new Date(text)),
      copies: z.number().default(1),
    }),
    output: z.object({ sent: z.number().transform(String) }),
    handler: (data, ctx) => {
      is<Equal<typeof data, { to: string; at: Date; copies: number }>>()
      is<Equal<typeof ctx.id, string>>()
      return { sent: data.copies }
    },
    onCancel: (data) => is<Equal<typeof data.at, Date>>(),
    retry: { attempts: 3 },
  })
  is<Equal<InferInput<typeof task>, { to: string; at: string; copies?: number | undefined }>>()
  is<Equal<InferOutput<typeof task>, { sent: string }>>()
  task.on("completed", ({ result }) => is<Equal<typeof result, { sent: string }>>())
  const handle = task.dispatch({ to: "ann", at: "2026-11-23" })
  is<Equal<typeof handle.result, Promise<{ sent: string }>>>()
  is<Equal<InferOutput<typeof handle>, { sent: string }>>()
  is<Equal<InferInput<typeof handle>, InferInput<typeof task>>>()
  handle.on("completed", ({ result }) => is<Equal<typeof result.sent, string>>())
  const [one] = task.dispatchMany([{ data: { to: "bob", at: "" }, options: { skipValidation: true } }])
  is<Equal<InferOutput<NonNullable<typeof one>>, { sent: string }>>()

  // @ts-expect-error a Date is what the handler gets, not what is dispatched
  task.dispatch({ to: "ann", at: new Date() })
  // @ts-expect-error at is missing
  task.dispatch({ to: "ann" })
  // @ts-expect-error one of them is wrong
  task.dispatchMany([{ data: { to: 5, at: "" } }])
  // @ts-expect-error the handler's result does not match the output
  taskora.task("wrong", { input: z.string(), output: z.number(), handler: (data) => data })
  // @ts-expect-error the handler takes other data
  taskora.task("wrong", { input: z.string(), handler: (data: number) => data })
  // @ts-expect-error no schema
  taskora.task("wrong", { input: "string", handler: () => 1 })
  // @ts-expect-error unknown option
  taskora.task("wrong", { input: z.string(), handler: () => 1, outptu: z.string() })
}

/** valibot. */
export function typesOfValibot(taskora: App): void {
  const task = taskora.task("valibot", {
    input: v.object({ id: v.pipe(v.string(), v.transform(Number)), tag: v.optional(v.string()) }),
    handler: async (data) => {
      is<Equal<typeof data.id, number>>()
      return [data.id]
    },
  })
  is<Equal<InferInput<typeof task>["id"], string>>()
  is<Equal<InferOutput<typeof task>, number[]>>()
  const outputOnly = taskora.task("valibot out", {
    output: v.object({ n: v.number() }),
    handler: (data: { readonly of: string }) => ({ n: data.of.length }),
  })
  is<Equal<InferInput<typeof outputOnly>, { readonly of: string }>>()
  is<Equal<InferOutput<typeof outputOnly>, { n: number }>>()

  // @ts-expect-error id is text
  task.dispatch({ id: 5 })
  // @ts-expect-error n is missing
  taskora.task("wrong", { output: v.object({ n: v.number() }), handler: () => ({}) })
}

/** arktype, whose schemas are functions. */
export function typesOfArktype(taskora: App): void {
  const task = taskora.task("arktype", {
    input: type({ size: "number", name: "string.trim" }),
    output: type("string[]"),
    handler: (data) => {
      is<Equal<typeof data, { size: number; name: string }>>()
      return [data.name]
    },
  })
  is<Equal<InferInput<typeof task>, { size: number; name: string }>>()
  is<Equal<InferOutput<typeof task>, string[]>>()

  // @ts-expect-error size is a number
  task.dispatch({ size: "5", name: "a" })
  // @ts-expect-error a list is wanted
  taskora.task("wrong", { input: type("number"), output: type("string[]"), handler: (data) => data })
}

export function typesOfMigrations(taskora: App): void {
  const v2 = z.object({ name: z.string() })
  const v3 = z.object({ name: z.string(), age: z.number().default(0) })
  const task = taskora.task("tuple", {
    since: 1,
    migrate: [
      into(v2, (data: { first: string; last: string }) => ({ name: `${data.first} ${data.last}` })),
      into(v3, (data: z.input<typeof v2>) => data),
    ],
    input: v3,
    handler: (data) => {
      is<Equal<typeof data, { name: string; age: number }>>()
      return data.age
    },
  })
  is<Equal<InferInput<typeof task>, { name: string; age?: number | undefined }>>()
  is<Equal<InferOutput<typeof task>, number>>()
  taskora.task("record", {
    version: 3,
    migrate: { 1: (data: { a: string }) => ({ b: data.a }), 2: (data) => data },
    input: z.object({ b: z.string() }),
    handler: (data) => data.b,
  })
  taskora.task("without schemas", {
    version: 2,
    migrate: { 1: (data) => data },
    handler: (data: string) => data,
  })

  // @ts-expect-error the step does not make what its schema takes
  into(v2, () => ({ name: 5 }))
  taskora.task("wrong", {
    migrate: [
      into(v2, () => ({ name: "a" })),
      into(v3, (data: { other: number }) => ({ name: `${data.other}` })),
    ],
    // @ts-expect-error the second step takes what the first one does not make
    input: v3,
    handler: () => 1,
  })
  taskora.task("wrong", {
    migrate: [into(z.object({ other: z.string() }), () => ({ other: "a" }))],
    // @ts-expect-error the last step does not make what the input takes
    input: v3,
    handler: () => 1,
  })
  // @ts-expect-error a step is a function, or made by into()
  taskora.task("wrong", { version: 2, migrate: { 1: "rename" }, handler: () => 1 })
}

export async function typesOfContracts(taskora: App): Promise<void> {
  const contract = defineTask({
    name: "contract",
    input: z.object({ at: z.string().transform((text) => new Date(text)) }),
    output: z.object({ ok: z.boolean().default(true) }),
    retry: { attempts: 3 },
    version: 2,
  })
  is<Equal<InferInput<typeof contract>, { at: string }>>()
  is<Equal<InferOutput<typeof contract>, { ok: boolean }>>()
  const registered = taskora.register(contract)
  is<Equal<InferInput<typeof registered>, { at: string }>>()
  const result = await registered.dispatch({ at: "2026-11-23" }).result
  is<Equal<typeof result, { ok: boolean }>>()
  const implemented = taskora.implement(
    contract,
    (data, ctx) => {
      is<Equal<typeof data, { at: Date }>>()
      ctx.progress(1)
      return {}
    },
    { concurrency: 5, migrate: { 1: (data) => data } },
  )
  is<Equal<InferOutput<typeof implemented>, { ok: boolean }>>()
  taskora.implement(contract, { handler: async ({ at }) => ({ ok: at > new Date(0) }), timeout: "5m" })

  const plain = staticContract<{ to: string }, number>({ name: "static" })
  is<Equal<InferInput<typeof plain>, { to: string }>>()
  is<Equal<InferOutput<typeof plain>, number>>()
  taskora.implement(plain, (data) => data.to.length)
  const untyped = defineTask({ name: "untyped" })
  is<Equal<InferInput<typeof untyped>, unknown>>()

  // @ts-expect-error not what the contract takes
  taskora.register(contract).dispatch({ at: 5 })
  // @ts-expect-error not what the contract gives
  taskora.implement(contract, () => ({ ok: "yes" }))
  // @ts-expect-error the handler takes other data
  taskora.implement(plain, (data: { from: string }) => data.from.length)
  // @ts-expect-error a contract has no handler
  defineTask({ name: "wrong", handler: () => 1 })
  // @ts-expect-error a name is needed
  defineTask({ input: z.string() })
  // @ts-expect-error the schemas are the contract's
  taskora.implement(contract, () => ({}), { input: z.string() })
  // @ts-expect-error the version is the contract's
  taskora.implement(contract, () => ({}), { version: 3 })
  // @ts-expect-error no contract
  taskora.register({ name: "contract" })
}

export function typesOfSchemas(): void {
  const own: Schema<string, number> = {
    "~standard": { version: 1, vendor: "me", validate: (value) => ({ value: Number(value) }) },
  }
  const task = (taskora: App) => taskora.task("own", { input: own, handler: (data) => data })
  is<Equal<InferInput<ReturnType<typeof task>>, string>>()
  is<Equal<InferOutput<ReturnType<typeof task>>, number>>()
  is<Equal<InferInput<string>, never>>()
}
