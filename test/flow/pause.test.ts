import { expect, it } from "vitest"
import { prometheus } from "../../exporters/prometheus.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("pause and resume", (host) => {
  const open = testApps()

  it("nothing of a paused task begins in any process, active jobs finish, and resuming goes on in order", async () => {
    const adapter = host.adapter()
    const order: unknown[] = []
    let release = () => {}
    const apps = [adapter, host.sibling(adapter)].map((own) => {
      const app = open({ adapter: own })
      const task = app.task("mail", {
        handler: async (data: unknown) => {
          if (data === "long")
            await new Promise<void>((resolve) => {
              release = resolve
            })
          order.push(data)
        },
      })
      return { app, task }
    })
    for (const { app } of apps) await app.start()
    const { app, task } = apps[0]!
    const long = task.dispatch("long")
    await long
    await until(async () => (await long.getState()) === "active", "it runs")
    await apps[1]!.task.pause()
    const others = [1, 2, 3].map((data) => task.dispatch(data))
    await Promise.all(others)
    release()
    await long.result
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(order).toEqual(["long"])
    expect(await app.inspect().stats()).toMatchObject({ waiting: 3, active: 0, paused: ["mail"] })
    await task.resume()
    await Promise.all(others.map((handle) => handle.result))
    expect(new Set(order)).toEqual(new Set(["long", 1, 2, 3]))
    expect((await app.inspect().stats()).paused).toEqual([])
  })

  it("a paused task's workers do not spin, and a lone dispatch is not launched past the pause", async () => {
    const calls: string[] = []
    const observer = {
      name: "test",
      storeCall: <T>(call: { script: string }, run: () => Promise<T>) => {
        calls.push(call.script)
        return run()
      },
    }
    const app = open({ adapter: host.adapter(), observers: [observer] })
    const task = app.task("mail", { handler: () => "done" })
    await app.start()
    await task.pause()
    await task.pause()
    const handle = task.dispatch(1)
    await handle
    await new Promise((resolve) => setTimeout(resolve, 200))
    const before = calls.filter((script) => script === "settle").length
    await new Promise((resolve) => setTimeout(resolve, 1000))
    expect(calls.filter((script) => script === "settle").length - before).toBeLessThanOrEqual(2)
    expect(await handle.getState()).toBe("waiting")
    await task.resume()
    expect(await handle.waitFor("5s")).toBe("done")
  }, 30_000)

  it("a pause outlives the processes, and may be set by one that runs no handler", async () => {
    const adapter = host.adapter()
    const admin = open({ adapter })
    await admin.task("mail").pause()
    await admin.close()
    const app = open({ adapter: host.sibling(adapter) })
    const task = app.task("mail", () => "done")
    await app.start()
    const handle = task.dispatch(1)
    await handle
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await handle.getState()).toBe("waiting")
    expect(await handle.cancel()).toBe("cancelled")
    await task.resume()
    expect(await task.dispatch(2).result).toBe("done")
  })

  it("is shown by the gauge `taskora_task_paused`, for each task", async () => {
    const metrics = prometheus({ port: false })
    const app = open({ adapter: host.adapter(), observers: [metrics] })
    const mail = app.task("mail", () => {})
    app.task("other", () => {})
    await app.start()
    await mail.pause()
    const text = await metrics.registry.metrics()
    expect(text).toMatch(/taskora_task_paused\{[^}]*task="mail"[^}]*\} 1/)
    expect(text).toMatch(/taskora_task_paused\{[^}]*task="other"[^}]*\} 0/)
  })
})
