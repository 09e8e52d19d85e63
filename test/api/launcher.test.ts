import { expect, test } from "vitest"
import type { Backlog } from "../../src/backlog.ts"
import { Launcher } from "../../src/launcher.ts"
import type { Core } from "../../src/store/core.ts"
import { taskKeys } from "../../src/store/keys.ts"
import { StoreError } from "../../src/store/store.ts"

test.each([
  ["at once", 0],
  ["when it is asked about", 1],
])("a run that cannot begin %s is reported, and nothing is rejected unheard", async (_when, lost) => {
  const reported: unknown[] = []
  let calls = 0
  const link = {
    instance: "here",
    closed: false,
    heard() {},
    untilUsable: async () => {},
    run: async () => {
      if (calls++ < lost) throw new StoreError("cut", "unanswered")
      return { at: 1, seq: 1, record: "a,1" }
    },
  }
  const core = { link, events: {}, report: (error: unknown) => reported.push(error) } as unknown as Core
  const said: string[] = []
  const ended = new Promise<void>((resolve) => {
    const begin = () => {
      throw new RangeError("no room")
    }
    const launcher = new Launcher(taskKeys("", "t"), {
      core,
      backlog: { remove() {} } as unknown as Backlog,
      seat: () => ({ leaseMs: 1, attempts: 1, begin, end: resolve }),
      begun: async () => ({ ended: () => true }),
    })
    launcher.launch({
      id: "j",
      options: "",
      body: "\nnull",
      bytes: 5,
      deadline: 0,
      stored: () => said.push("stored"),
      refused: ({ name }) => said.push(name),
    })
  })
  await ended
  expect(reported).toEqual([new RangeError("no room")])
  expect(said).toEqual([lost === 0 ? "stored" : "UnconfirmedError"])
})
