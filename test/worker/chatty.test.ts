import { expect, it } from "vitest"
import type { Adapter } from "../../src/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"
import { pause } from "./work.ts"

/** The adapter, with a server that takes a while for each call of `log`, which `called` hears of. */
function slowLogs(adapter: Adapter, called: () => void): Adapter {
  return {
    ...adapter,
    open(instance, listeners) {
      const store = adapter.open(instance, listeners)
      const run = store.run.bind(store)
      store.run = async (script, keys, args) => {
        if (script.name === "log") {
          called()
          await pause(5)
        }
        return run(script, keys, args)
      }
      return store
    },
  }
}

onBothHosts("a job among chatty ones", (host) => {
  const open = testApps()

  it("is settled once its own lines are stored", async () => {
    let calls = 0
    const app = open({ adapter: slowLogs(host.adapter(), () => calls++) })
    let over = false
    let began = 0
    const chatty = app.task("work", {
      concurrency: 21,
      handler: async (talks: boolean, ctx) => {
        began++
        if (!talks) {
          ctx.log.info("once")
          return calls
        }
        while (!over) {
          ctx.log.info("again")
          await pause(2)
        }
        return calls
      },
    })
    await app.start()
    const talking = chatty.dispatchMany(Array.from({ length: 20 }, () => ({ data: true })))
    await Promise.all(talking)
    while (began < 20) await pause(5)
    const quick = chatty.dispatch(false)
    const before = await quick.result
    // The call under way, its own, and those of the time that the result took.
    expect(calls - before).toBeLessThan(20)
    expect((await quick.getLogs()).map(({ message }) => message)).toEqual(["once"])
    over = true
    await Promise.all(talking.map((handle) => handle.result))
  })
})
