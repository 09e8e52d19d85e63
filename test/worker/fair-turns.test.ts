import { expect, test } from "vitest"
import { memoryAdapter } from "../../src/memory.ts"
import { testApps } from "../support/hosts.ts"

const open = testApps()

test("a loop that awaits each dispatch leaves the worker beside it its turns", async () => {
  const app = open({ adapter: memoryAdapter() })
  let ran = 0
  const task = app.task<number>("work", async () => void ran++)
  await app.start()
  const dispatches = 2000
  for (let i = 0; i < dispatches; i++) await task.dispatch(i)
  expect(ran).toBeGreaterThan(dispatches / 50)
})
