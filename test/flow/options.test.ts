import { expect, it, vi } from "vitest"
import { ValidationError } from "../../src/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"

onBothHosts("options that meet", (host) => {
  const open = testApps()

  it("a ttl that is over before a debounce lets the job go is refused at the call", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task("task", async (n: number) => n)
    const debounce = { key: "k", delay: 200 }
    expect(() => task.dispatch(1, { ttl: 20, debounce })).toThrow(/debounce\) of 200 ms/)
    expect(() => task.dispatch(1, { ttl: 20, debounce: { ...debounce, maxWait: 5 } })).not.toThrow()
    await app.start()
    const handle = task.dispatch(2, { ttl: "1m", debounce: { key: "other", delay: 30 } })
    expect(await handle.waitFor("10s")).toBe(2)
  })

  it("what no other attempt can mend is retried only where its own class is named", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {})
    const app = open({ adapter: host.adapter() })
    const runs: Record<string, number> = {}
    const failing = (name: string, retryOn: (new (...args: never[]) => Error)[]) =>
      app.task(name, {
        retry: { attempts: 3, delay: 1, retryOn: retryOn as never },
        handler: async () => {
          runs[name] = (runs[name] ?? 0) + 1
          throw new ValidationError("wrong")
        },
      })
    const tasks = [
      failing("broad", [Error]),
      failing("named", [ValidationError]),
      failing("plain", [TypeError]),
    ]
    await app.start()
    await Promise.all(
      tasks.map((task) =>
        task
          .dispatch(undefined)
          .waitFor("10s")
          .catch(() => undefined),
      ),
    )
    expect(runs).toEqual({ broad: 1, named: 3, plain: 1 })
  })

  it("a concurrencyKey that throws says which option of which task it was", () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task("keyed", {
      concurrencyKey: (data: { user: { id: string } }) => data.user.id,
      handler: async () => 1,
    })
    expect(() => task.dispatch({} as never)).toThrow(/task "keyed".*concurrencyKey threw/)
  })
})
