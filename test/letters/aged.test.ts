import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { memoryAdapter } from "../../src/memory.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"

const openApp = testApps()
beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {})
})
afterEach(() => {
  vi.restoreAllMocks()
})

it("a job that failed while the server's clock went back leaves the dead letters as it is retried, and is not cleaned with them", async () => {
  const clock = manualClock()
  const app = openApp({ adapter: memoryAdapter({ clock }) })
  const work = app.task<number>("work", {
    handler: () => {
      clock.setNow(clock.now() - 60_000)
      throw new Error("no")
    },
  })
  await app.start()
  const handle = work.dispatch(1, { jobId: "a" })
  await handle.result.catch(() => undefined)
  await work.pause()
  expect(await app.deadLetters.retryAll()).toMatchObject({ retried: 1 })
  expect((await app.inspect().stats()).failed).toBe(0)
  clock.setNow(clock.now() + 3_600_000)
  expect(await app.clean({ state: "failed" })).toBe(0)
  expect(await handle.getState()).toBe("waiting")
})

onBothHosts("jobs that expired", (host) => {
  it("are cleaned, and counted by version, like all that ended", async () => {
    const app = openApp({ adapter: host.adapter() })
    const mail = app.task<number, number>("mail", { version: 2, handler: () => 1 })
    await mail.pause()
    await app.start()
    const handles = [mail.dispatch(1, { ttl: 1 }), mail.dispatch(2, { ttl: 1 })]
    await Promise.all(handles.map(({ result }) => expect(result).rejects.toThrow("ttl")))
    await until(async () => (await app.inspect().stats()).expired === 2, "both expired")
    expect((await app.inspect().migrations("mail")).versions).toEqual({ 2: { expired: 2 } })
    expect(await app.clean({ state: "expired", olderThan: "1h" })).toBe(0)
    expect(await app.clean({ state: "expired", limit: 1 })).toBe(1)
    // Both may have expired in the same ms, and then either is the older one.
    const states = await Promise.all(handles.map((handle) => handle.getState()))
    expect(new Set(states)).toEqual(new Set([undefined, "expired"]))
    expect(await app.clean({ state: "expired" })).toBe(1)
    expect((await app.inspect().stats()).expired).toBe(0)
  })
})
