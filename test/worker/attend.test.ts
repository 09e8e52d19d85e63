import { expect, it } from "vitest"
import type { Adapter } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { testApps } from "../support/hosts.ts"
import { type ManualClock, manualClock } from "../support/manual-clock.ts"

const openApp = testApps()

/** Notes each call of a script; `before` runs as a call is sent. */
function noting(
  adapter: Adapter,
  scripts: string[],
  before: (script: string) => unknown = () => {},
): Adapter {
  return {
    ...adapter,
    open(instance, listeners) {
      const store = adapter.open(instance, listeners)
      const run = store.run.bind(store)
      store.run = (script, keys, args) => {
        scripts.push(script.name)
        before(script.name)
        return run(script, keys, args)
      }
      return store
    },
  }
}

async function turns(clock: ManualClock): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await clock.advance(0)
}

async function closed(app: { close(): Promise<void> }, clock: ManualClock): Promise<void> {
  let done = false
  const closing = app.close().then(() => {
    done = true
  })
  while (!done) await clock.advance(100)
  await closing
}

it("tasks declared after start() are told of together, and add no timer each", async () => {
  const clock = manualClock()
  const scripts: string[] = []
  const attended = () => scripts.filter((name) => name === "attend").length
  const app = openApp({ adapter: noting(memoryAdapter({ clock }), scripts) })
  app.task("first", () => {})
  await app.start()
  for (let i = 0; i < 50; i++) app.task(`task-${i}`, () => {})
  await turns(clock)
  expect(attended()).toBeLessThanOrEqual(4)
  const [worker] = await app.inspect().workers()
  expect(worker?.tasks).toHaveLength(51)
  const before = attended()
  for (let tick = 0; tick < 300; tick++) await clock.advance(100)
  expect(attended() - before).toBeLessThanOrEqual(3)
  await closed(app, clock)
  const atClose = attended()
  await clock.advance(60_000)
  expect(attended()).toBe(atClose)
})

it("a task declared while the worker starts has one chain of renewals", async () => {
  const timers: number[] = []
  for (const early of [true, false]) {
    const clock = manualClock()
    let declared = false
    const declare = () => {
      if (!declared) app.task("second", () => {})
      declared = true
    }
    const adapter = noting(memoryAdapter({ clock }), [], (script) => script === "attend" && declare())
    const app = openApp({ adapter })
    app.task("first", () => {})
    if (early) declare()
    await app.start()
    await turns(clock)
    timers.push(clock.pending())
    await closed(app, clock)
  }
  expect(timers[1]).toBe(timers[0])
})
