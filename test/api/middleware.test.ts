import { expect, it } from "vitest"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"

onBothHosts("middleware", (host) => {
  const openApp = testApps()
  const app = () => openApp({ adapter: host.adapter() })

  it("wraps the handler like an onion: the app's outside, in the order of use(), the task's inside", async () => {
    const taskora = app()
    const order: string[] = []
    const layer = (name: string) => async (_: unknown, next: () => Promise<void>) => {
      order.push(`> ${name}`)
      await next()
      order.push(`< ${name}`)
    }
    taskora.use(layer("first"))
    const task = taskora.task("onion", {
      handler: async () => {
        order.push("handler")
      },
      middleware: [layer("third"), layer("fourth")],
    })
    taskora.use(layer("second"))
    await taskora.start()
    await task.dispatch({}).result
    expect(order).toEqual([
      ...["> first", "> second", "> third", "> fourth", "handler"],
      ...["< fourth", "< third", "< second", "< first"],
    ])
  })

  it("reads and replaces data and result, and knows the task", async () => {
    const taskora = app()
    const seen: unknown[] = []
    taskora.use(async (ctx, next) => {
      seen.push(ctx.task.name, ctx.id, ctx.attempt, ctx.data, ctx.result)
      ctx.data = "replaced"
      await next()
      seen.push(ctx.result)
      ctx.result = `${ctx.result}!`
    })
    const task = taskora.task("replace", async (data) => `got ${data}`)
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch("original")
    expect(await handle.result).toBe("got replaced!")
    expect(seen).toEqual(["replace", handle.id, 1, "original", undefined, "got replaced"])
    await heard.until("completed")
    expect((await handle.getJob())?.data).toBe("original")
  })

  it("may keep the handler from running, catch its error, or throw its own", async () => {
    const taskora = app()
    taskora.on("task:failed", () => {})
    let ran = 0
    const task = taskora.task<string, unknown>("choices", {
      handler: async (data) => {
        ran++
        throw new Error(data)
      },
      middleware: [
        async (ctx, next) => {
          if (ctx.data === "skip") return
          if (ctx.data === "throw") throw new Error("from the middleware")
          try {
            await next()
          } catch (error) {
            if (ctx.data !== "caught") throw error
            ctx.result = "instead"
          }
        },
      ],
    })
    await taskora.start()
    expect(await task.dispatch("skip").result).toBeUndefined()
    expect(ran).toBe(0)
    await expect(task.dispatch("throw").result).rejects.toThrow("from the middleware")
    expect(ran).toBe(0)
    expect(await task.dispatch("caught").result).toBe("instead")
    await expect(task.dispatch("passed on").result).rejects.toThrow("passed on")
  })

  it("calling next() twice fails the attempt", async () => {
    const taskora = app()
    taskora.on("task:failed", () => {})
    const task = taskora.task("twice", {
      handler: async () => 1,
      middleware: [
        async (_, next) => {
          await next()
          await next()
        },
      ],
    })
    await taskora.start()
    await expect(task.dispatch({}).result).rejects.toThrow("next() twice")
  })

  it("not awaiting next() neither ends the job early nor harms the process", async () => {
    const taskora = app()
    taskora.on("task:failed", () => {})
    const forgetful = [(_: unknown, next: () => Promise<void>) => void next()]
    const turn = () => new Promise((resolve) => setImmediate(resolve))
    const good = taskora.task("good", {
      handler: async () => {
        await turn()
        return "waited for"
      },
      middleware: forgetful,
    })
    const bad = taskora.task("bad", {
      handler: async () => {
        await turn()
        throw new Error("seen all the same")
      },
      middleware: forgetful,
    })
    const lost = taskora.task("lost", {
      handler: async () => {
        throw new Error("looked away from")
      },
      middleware: [
        async (_, next) => {
          void next()
          for (let i = 0; i < 5; i++) await turn()
        },
      ],
    })
    await taskora.start()
    expect(await good.dispatch({}).result).toBe("waited for")
    await expect(bad.dispatch({}).result).rejects.toThrow("seen all the same")
    expect(await lost.dispatch({}).result).toBeUndefined()
  })

  it("use() works before start() only, else an error", async () => {
    const taskora = app()
    taskora.use(async (_, next) => next())
    await taskora.start()
    expect(() => taskora.use(async (_, next) => next())).toThrow("before start() only")
  })
})
