import { type } from "arktype"
import * as v from "valibot"
import { z } from "zod"
import type { Schema } from "../../src/index.ts"

/** The same schemas in three libraries: an e-mail's address, trimmed, and how many copies, 1 by default; a count as text. */
export const libraries: readonly {
  readonly name: string
  readonly input: Schema<{ to: string; copies?: number | undefined }, { to: string; copies: number }>
  readonly output: Schema<number, string>
}[] = [
  {
    name: "zod",
    input: z.object({ to: z.string().trim(), copies: z.number().default(1) }),
    output: z.number().transform(String),
  },
  {
    name: "valibot",
    input: v.object({ to: v.pipe(v.string(), v.trim()), copies: v.optional(v.number(), 1) }),
    output: v.pipe(v.number(), v.transform(String)),
  },
  {
    name: "arktype",
    input: type({ to: "string.trim", copies: "number = 1" }),
    output: type("number").pipe(String),
  },
]

/** A schema whose answer comes when the test says so. */
export function slowSchema(): Schema & { readonly asked: unknown[]; answer(): void } {
  const asked: unknown[] = []
  let waiting: (() => void)[] = []
  return {
    asked,
    answer() {
      for (const go of waiting) go()
      waiting = []
    },
    "~standard": {
      version: 1,
      vendor: "test",
      async validate(value) {
        asked.push(value)
        await new Promise<void>((resolve) => waiting.push(resolve))
        return value === "bad" ? { issues: [{ message: "bad is not good" }] } : { value }
      },
    },
  }
}
