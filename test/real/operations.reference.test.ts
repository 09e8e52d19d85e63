import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import * as taskora from "../../src/index.ts"
import { root } from "../support/repository.ts"
import { currentPage, page } from "./acl-rules.ts"

const source = (path: string) => readFileSync(join(root, path), "utf8")
const text = readFileSync(page, "utf8")

/** The words of a union of literals. */
function wordsOf(path: string, type: string): string[] {
  const union = new RegExp(`export type ${type} =([^;]*?)(?:\\n\\n|$)`, "s").exec(source(path))?.[1] ?? ""
  return [...union.matchAll(/"([\w]+)"/g)].map(([, word]) => word!)
}

/** `npm run generate` writes its users anew. */
test("docs/operations.md is current", async () => {
  await expect(currentPage()).toMatchFileSnapshot(page)
})

test("the page says of every class of errors, every code and every kind what to do", () => {
  const classes = Object.entries(taskora)
    .filter(
      ([, value]) =>
        typeof value === "function" &&
        (value === taskora.TaskoraError || value.prototype instanceof taskora.TaskoraError),
    )
    .map(([name]) => name)
  expect(classes.length).toBeGreaterThan(15)
  for (const name of classes) expect(text, name).toMatch(new RegExp(`^\\| \`${name}\` \\|`, "m"))
  const codes = wordsOf("src/model/errors.ts", "ErrorCode")
  expect(codes.length).toBeGreaterThan(20)
  for (const code of codes) expect(text, code).toMatch(new RegExp(`^\\| \`\\w+\` \\| \`${code}\` \\|`, "m"))
  const kinds = wordsOf("src/model/events.ts", "WorkerErrorKind")
  expect(kinds).toContain("events_lost")
  for (const kind of kinds) expect(text, kind).toMatch(new RegExp(`^\\| \`${kind}\` \\|`, "m"))
})
