import { expect, test } from "vitest"
import { memoryAdapter } from "../../src/memory.ts"
import { testApps } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"

const open = testApps()

test("a job that is due waits, in every answer, though nobody has promoted it", async () => {
  const clock = manualClock()
  const app = open({ adapter: memoryAdapter({ clock }) })
  const task = app.task<number>("work")
  await task.dispatch(1, { delay: 5, jobId: "soon" })
  await task.dispatch(2, { delay: "1h", jobId: "later" })
  const inspect = app.inspect()
  const look = async () => ({
    waiting: (await inspect.waiting()).map(({ id, state }) => `${id} ${state}`),
    delayed: (await inspect.delayed()).map(({ id, state }) => `${id} ${state}`),
    found: (await inspect.find("soon"))?.state,
    counted: (await inspect.stats()).waiting,
  })
  expect(await look()).toEqual({
    waiting: [],
    delayed: ["soon delayed", "later delayed"],
    found: "delayed",
    counted: 0,
  })
  await clock.advance(6)
  expect(await look()).toEqual({
    waiting: ["soon waiting"],
    delayed: ["later delayed"],
    found: "waiting",
    counted: 1,
  })
})
