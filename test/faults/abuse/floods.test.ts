import { expect, it } from "vitest"
import { hearTask } from "../../support/hearing.ts"
import { onBothHosts, testApps, until } from "../../support/hosts.ts"

onBothHosts("floods", (host) => {
  const open = testApps()

  it("100,000 reports of one run become few events, the last report among them, before the outcome", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task<number, string>("chatty", async (count, ctx) => {
      for (let i = 1; i <= count; i++) ctx.progress(i)
      return "done"
    })
    const heard = hearTask(task)
    await app.start()
    const handle = task.dispatch(100_000)
    expect(await handle.result).toBe("done")
    await heard.until("completed")
    const told = heard.of("progress").map(({ progress }) => progress)
    expect(told.at(-1)).toBe(100_000)
    expect(told.length).toBeLessThan(200)
    expect(heard.names(handle.id).at(-1)).toBe("completed")
    expect(await handle.getProgress()).toBe(100_000)
  })

  it("listeners that remove one another, add others and dispatch, each time, hear every event once", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task<number, number>("chain", async (n) => n)
    const heard = hearTask(task)
    const seen: number[] = []
    const listen = () => {
      const stop = task.on("completed", ({ result }) => {
        stop()
        seen.push(result as number)
        if (result === 50) return
        listen()
        void task.dispatch(Number(result) + 1)
      })
    }
    await app.start()
    listen()
    await task.dispatch(0)
    await until(() => seen.at(-1) === 50, "the chain came to its end")
    const all = Array.from({ length: 51 }, (_, n) => n)
    expect(seen).toEqual(all)
    await heard.until("completed", 51)
    expect(heard.of("completed").map(({ result }) => result)).toEqual(all)
  })
})
