import { execFile } from "node:child_process"
import { join } from "node:path"
import { expect, test } from "vitest"

const root = join(import.meta.dirname, "../..")

test("a day of virtual time with 20,000 jobs leaves no more behind than two hours of it (1,000,000: npm run endurance)", async () => {
  const said = await new Promise<{ error: Error | null; out: string }>((resolve) => {
    execFile(
      process.execPath,
      ["test/endurance/start.js", "--jobs", "20000"],
      { cwd: root },
      (error, stdout, stderr) => resolve({ error, out: stdout + stderr }),
    )
  })
  expect(said.error, said.out).toBeNull()
  expect(JSON.parse(said.out)).toMatchObject({ jobs: 20_000, hours: 24, errors: [] })
}, 600_000)
