import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { type Adapter, ConnectionError } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { testApps } from "../support/hosts.ts"

const open = testApps()

/** A store that no connection leads to. Attempts fail, or last until the store is closed. */
function unreachable(attempts: "fail" | "last"): Adapter {
  const adapter = memoryAdapter()
  return {
    ...adapter,
    open(instance, listeners) {
      const store = adapter.open(instance, listeners)
      const close = store.close.bind(store)
      let end = () => {}
      store.connected = () => false
      store.connect = () =>
        new Promise((_, reject) => {
          end = () => reject(new ConnectionError("nobody answers"))
          if (attempts === "fail") end()
        })
      store.close = () => {
        end()
        return close()
      }
      return store
    },
  }
}

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {})
})
afterEach(() => {
  vi.restoreAllMocks()
})

it("before the first connection is made, 64 MiB are held; closing says of them that the app is closed", async () => {
  const app = open({ adapter: unreachable("last") })
  const task = app.task<string>("far-away")
  const data = "x".repeat(1_000_000)
  const handles = Array.from({ length: 70 }, () => task.dispatch(data).then(String, (error) => error))
  await expect(handles.at(-1)).resolves.toMatchObject({
    code: "CONNECTION",
    message: expect.stringMatching(/not connected, and 68 dispatches \(\d{8} bytes\) are held already/),
  })
  await app.close({ timeout: 0 })
  expect(await handles[0]).toMatchObject({ code: "CLOSED" })
  expect(await handles[67]).toMatchObject({ code: "CLOSED" })
})

it("10,000 jobs are held once an attempt has failed; before, a burst may be larger", async () => {
  const app = open({ adapter: unreachable("fail") })
  const task = app.task<number>("far-away")
  const burst = async () => {
    const jobs = Array.from({ length: 10_002 }, (_, i) => ({ data: i }))
    const errors = await Promise.all(task.dispatchMany(jobs).map((handle) => handle.then(String, String)))
    return errors.filter((text) => text.includes("held already")).length
  }
  expect(await burst()).toBe(0)
  expect(await burst()).toBe(2)
})
