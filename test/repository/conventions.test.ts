import { expect, test } from "vitest"
import { type SourceFile, sourceFiles } from "../support/repository.ts"

const mostLines = 300
const code = sourceFiles(["src", "exporters", "dashboards", "examples", "bench"], ".ts")
const lua = sourceFiles(["lua"], ".lua")
const engine = code.filter(({ path }) => path.startsWith("src/") || path.startsWith("exporters/"))

function linesWith(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  )
}

test(`no file has ${mostLines} lines or more`, () => {
  const long = [...code, ...lua]
    .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
    .filter(({ lines }) => lines >= mostLines)
  expect(long).toEqual([])
})

test("nothing is exported as default", () => {
  expect(linesWith(code, /^export default\b|\bas default\b/)).toEqual([])
})

test("the wall clock is read in one file only", () => {
  const others = engine.filter(({ path }) => path !== "src/model/clock.ts")
  expect(linesWith(others, /\bDate\.now\(|\bnew Date\(\)|\bDate\(\)/)).toEqual([])
  expect(
    linesWith(
      others.filter(({ path }) => path.startsWith("src/")),
      /\bnew Date\(/,
    ),
  ).toEqual([])
})

test("public types hold no any", () => {
  expect(linesWith(engine, /[:<|,]\s*any\b/).filter((line) => !line.includes("//"))).toEqual([])
})
