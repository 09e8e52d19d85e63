import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { expect, test } from "vitest"

const root = join(import.meta.dirname, "../../..")

test("what some guards of the engine protect is missed as soon as they are gone (the others: npm run patches)", async () => {
  const child = spawn(process.execPath, ["test/faults/patches/run.js", "--short"], { cwd: root })
  let said = ""
  child.stdout.on("data", (chunk) => {
    said += chunk
  })
  child.stderr.on("data", (chunk) => {
    said += chunk
  })
  const [code] = await once(child, "exit")
  expect(said).toMatch(/4 of 4 patches caught/)
  expect(code).toBe(0)
}, 600_000)
