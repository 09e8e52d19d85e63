import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { root } from "../support/repository.ts"

const page = readFileSync(join(root, "docs/guarantees.md"), "utf8").replaceAll("\n", " ")
const named = [...page.matchAll(/`(test\/[\w/.-]+\.ts)`(?: "([^"]+)")?/g)].map(([, file, name]) => ({
  file: file!,
  name,
}))

test("the page of guarantees names tests", () => {
  expect(named.length).toBeGreaterThan(20)
})

test.each(named)("$file has the test $name that the page of guarantees names", ({ file, name }) => {
  const text = readFileSync(join(root, file), "utf8")
  if (name !== undefined) expect(text).toContain(name)
})

test("each line of its tables says what shows it", () => {
  const rows = readFileSync(join(root, "docs/guarantees.md"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !/^\| (---|what holds|failure)/.test(line))
  expect(rows.length).toBeGreaterThan(20)
  expect(rows.filter((row) => !/`test\/[^`]+`[^|]*\|$/.test(row))).toEqual([])
})
