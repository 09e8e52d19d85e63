import { readdirSync, readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { supportedCommands } from "../../../src/store/embedded/commands.ts"
import { comparedCommands } from "./command-arbitraries.ts"

const lua = new URL("../../../lua/", import.meta.url)

/** Every command that a script calls, by the literal names in its text. */
function calledCommands(): Set<string> {
  const called = new Set<string>()
  for (const name of readdirSync(lua, { recursive: true, encoding: "utf8" }))
    if (name.endsWith(".lua"))
      for (const [, command] of readFileSync(new URL(name, lua), "utf8").matchAll(
        /redis\.p?call\(\s*["'](\w+)["']/g,
      ))
        called.add(command!.toUpperCase())
  return called
}

test("every command that a script calls is supported, and compared with a real server", () => {
  const called = [...calledCommands()]
  expect(called.length).toBeGreaterThan(10)
  expect(called.filter((name) => !supportedCommands.includes(name))).toEqual([])
  expect(called.filter((name) => !comparedCommands.includes(name))).toEqual([])
})
