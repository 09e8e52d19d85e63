import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { catalogue, type Holder, open } from "./catalogue.ts"

const tests = join(import.meta.dirname, "..")
const rows = Object.entries(catalogue).flatMap(([list, lines]) =>
  Object.entries<Holder>(lines).map(([line, { file, text }]) => ({ title: `${list}: ${line}`, file, text })),
)

describe("the catalogue of faults and abuse", () => {
  test.each(rows)("$title is held by a test", async ({ file, text }) => {
    expect(await missing(file, text), `${file} has no "${text}"`).toBe(false)
  })

  test("tells a title, and a file, that is not there", async () => {
    expect(await missing("faults/catalogue.test.ts", ["a title", "of no test"].join(" "))).toBe(true)
    expect(await missing("faults/no-such.test.ts", "x").catch(() => "no file")).toBe("no file")
  })

  test("the list of what nobody holds grows no more, and each line says why", () => {
    expect(Object.keys(open).length).toBeLessThanOrEqual(4)
    for (const [line, reason] of Object.entries(open)) expect(reason, line).toMatch(/\w{2}/)
    const held = new Set(rows.map(({ title }) => title))
    expect(Object.keys(open).filter((line) => held.has(line))).toEqual([])
  })
})

/** Whether no text in quotes, nor a row of a table, begins so. */
async function missing(file: string, text: string): Promise<boolean> {
  const source = await readFile(join(tests, file), "utf8")
  const quoted = ['"', "'", "`"].flatMap((quote) => {
    const inside = text.replaceAll(quote, `\\${quote}`)
    return [`${quote}${inside}${quote}`, `"${inside}"`]
  })
  return !(quoted.some((one) => source.includes(one)) || (text.startsWith("[") && source.includes(text)))
}
