import { expect, it } from "vitest"
import type { Adapter, Observer, Transition } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { StoreError } from "../../src/store/store.ts"
import { testApps } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"

const open = testApps()

/** The adapter, with a server whose answers to `settle` are lost while `lost` says so. */
function losing(adapter: Adapter, lost: () => boolean): Adapter {
  return {
    ...adapter,
    open(instance, listeners) {
      const store = adapter.open(instance, listeners)
      const run = store.run.bind(store)
      store.run = async (script, keys, args) => {
        const reply = await run(script, keys, args)
        if (script.name === "settle" && lost()) throw new StoreError("cut", "unanswered")
        return reply
      }
      return store
    },
  }
}

it("a claim that is answered after its lease: what the store counted is told as begun and lost, and not run", async () => {
  const clock = manualClock()
  let away = false
  const told: Transition[] = []
  const observer: Observer = { name: "notes", transition: (transition) => void told.push(transition) }
  const adapter = memoryAdapter({ clock })
  const app = open({ adapter: losing(adapter, () => away), observers: [observer] })
  const dispatcher = open({ adapter })
  const ran: string[] = []
  app.task("work", {
    stall: { interval: 1000 },
    handler: (_, { id }) => void ran.push(id),
  })
  await app.start()
  for (let turn = 0; turn < 20; turn++) await clock.advance(0)
  away = true
  const handle = dispatcher.task("work").dispatch({})
  for (let ms = 0; ms < 3000; ms += 50) await clock.advance(50)
  expect(ran).toEqual([])
  away = false
  for (let ms = 0; ms < 3000; ms += 50) await clock.advance(50)
  expect(ran).toEqual([handle.id])
  const attempts = told.flatMap((transition) =>
    "attempt" in transition && typeof transition.attempt === "object"
      ? [[transition.kind, transition.attempt.id]]
      : [],
  )
  expect(attempts).toEqual([
    ["active", handle.id],
    ["lost", handle.id],
    ["active", handle.id],
    ["completed", handle.id],
  ])
  const { transitions } = await app.inspect().stats()
  expect(transitions).toMatchObject({ started: 2, completed: 1, stalled_recovered: 1 })
  let closed = false
  const closing = app.close().then(() => {
    closed = true
  })
  while (!closed) await clock.advance(100)
  await closing
})
