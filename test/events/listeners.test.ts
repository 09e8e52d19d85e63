import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { type AppOptions, type TaskEventName, TaskoraError } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("listeners", (host) => {
  const openApp = testApps()
  const app = (expectErrors = false, options?: Partial<AppOptions>) =>
    openApp({ adapter: host.adapter(), ...options }, expectErrors)
  let printed: string[]

  beforeEach(() => {
    printed = []
    vi.spyOn(console, "error").mockImplementation((line) => printed.push(String(line)))
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it("A listener that throws or rejects hurts nobody: the others run, the reader goes on, the error goes to worker:error", async () => {
    const taskora = app(true)
    const task = taskora.task("ping", async () => "pong")
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    const trouble = new Error("thrown by a task's listener")
    task.on("completed", () => {
      throw trouble
    })
    task.on("completed", async () => {
      throw new Error("rejected by a task's listener")
    })
    task.on("completed", () => {
      throw undefined
    })
    task.on("completed", () => ({
      // biome-ignore lint/suspicious/noThenProperty: whatever a listener returns must do no harm
      get then() {
        throw new Error("thrown by a getter")
      },
    }))
    taskora.on("task:completed", () => {
      throw Object.freeze(new Error("thrown by an app's listener"))
    })
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    handle.on("completed", () => {
      throw new Error("thrown by a job's listener")
    })
    await handle
    await task.dispatch({})
    await heard.until("completed", 2)
    await until(() => errors.length >= 11, "all errors were told")
    const messages = errors.map((error) => error.message)
    for (const [message, times] of [
      ["thrown by a task's listener", 2],
      ["rejected by a task's listener", 2],
      ["thrown value: undefined", 2],
      ["thrown by a getter", 2],
      ["thrown by an app's listener", 2],
      ["thrown by a job's listener", 1],
    ] as const)
      expect(
        messages.filter((text) => text === message),
        message,
      ).toHaveLength(times)
    expect(errors).toContain(trouble)
    for (const error of errors) {
      expect(error).toBeInstanceOf(Error)
      expect(error).toHaveProperty("kind", "listener")
    }
    expect(printed).toEqual([])
  })

  it("No worker:error listener: it is printed; the process never dies of it", async () => {
    const taskora = app(true)
    const task = taskora.task("ping", async () => "pong")
    task.on("completed", async () => {
      throw new Error("nobody listens")
    })
    await taskora.start()
    await task.dispatch({})
    await until(() => printed.length > 0, "the error was printed")
    expect(printed).toHaveLength(1)
    expect(printed[0]).toMatch(/^\[taskora\] listener error: Error: nobody listens\n {4}at /)
  })

  it.each([
    ["throws", () => () => fail()],
    ["rejects", () => async () => fail()],
  ])("a worker:error listener that %s is printed, once for each error", async (_, make) => {
    const taskora = app(true)
    const task = taskora.task("ping", async () => "pong")
    taskora.on("worker:error", make())
    task.on("completed", () => {
      throw new Error("the first")
    })
    await taskora.start()
    await task.dispatch({}).result
    await task.dispatch({}).result
    await until(() => printed.length >= 2, "both were printed")
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(printed).toHaveLength(2)
    for (const text of printed) expect(text).toContain("the listener of errors fails")
  })

  it("Listeners added or removed during an emit take effect from the next event", async () => {
    const taskora = app()
    const task = taskora.task("ping", async () => "pong")
    const calls: string[] = []
    const stops: (() => void)[] = []
    const heard = hearTask(task)
    task.on("completed", () => {
      calls.push("first")
      if (calls.length > 1) return
      stops[0]!()
      task.on("completed", () => calls.push("added"))
    })
    stops.push(task.on("completed", () => calls.push("removed")))
    task.on("completed", () => calls.push("last"))
    await taskora.start()
    await task.dispatch({})
    await heard.until("completed", 1)
    await task.dispatch({})
    await heard.until("completed", 2)
    await until(() => calls.includes("added"), "the added one was called")
    expect(calls).toEqual(["first", "removed", "last", "first", "last", "added"])
  })

  it("Unsubscribing twice does nothing, and takes off nobody else's subscription of the same function", async () => {
    const taskora = app()
    const task = taskora.task("ping", async () => "pong")
    let calls = 0
    const listener = () => calls++
    const stop = task.on("completed", listener)
    task.on("completed", listener)
    const heard = hearTask(task)
    stop()
    stop()
    await taskora.start()
    await task.dispatch({})
    await heard.until("completed")
    expect(calls).toBe(1)
  })

  it("removing every listener and adding one again goes on with what happens from then on", async () => {
    const taskora = app()
    const task = taskora.task("ping", async () => "pong")
    await taskora.start()
    for (let round = 0; round < 5; round++) {
      const heard: string[] = []
      const stop = task.on("completed", ({ id }) => heard.push(id))
      const id = await task.dispatch({})
      await until(() => heard.length > 0, "it was heard")
      expect(heard).toEqual([id])
      stop()
      await task.dispatch({}).result
    }
  })

  it("a listener added later sees at least what this process dispatches after the on()", async () => {
    const taskora = app()
    await taskora.start()
    for (let round = 0; round < 10; round++) {
      const task = taskora.task(`late-${round}`, async () => round)
      await task.dispatch({}).result
      const heard = hearTask(task)
      const id = await task.dispatch({})
      await heard.until("completed")
      expect(heard.names(id)).toEqual(["active", "completed"])
    }
  })

  it("listeners attached inside listeners and handlers hear what is dispatched there", async () => {
    const taskora = app()
    const heard: string[] = []
    const inner = taskora.task("inner", async () => "done")
    const outer = taskora.task("outer", async () => {
      inner.on("completed", ({ id }) => heard.push(`from handler ${id}`))
      return inner.dispatch({})
    })
    outer.on("completed", async () => {
      inner.on("completed", ({ id }) => heard.push(`from listener ${id}`))
      await inner.dispatch({}, { jobId: "second" })
    })
    await taskora.start()
    const first = await outer.dispatch({}).result
    await until(() => heard.includes("from listener second"), "the second was heard")
    expect(heard).toContain(`from handler ${first}`)
    expect(heard).toContain("from handler second")
  })

  it("a dispatch inside worker:ready is heard from the beginning", async () => {
    const taskora = app()
    const task = taskora.task("ping", async () => "pong")
    const heard = hearTask(task)
    taskora.on("worker:ready", () => task.dispatch({}))
    await taskora.start()
    await heard.until("completed")
    expect(heard.all.map(({ event }) => event)).toEqual(["active", "completed"])
  })

  it("a listener that calls close() ends the app, and hears what came before", async () => {
    const taskora = app()
    const task = taskora.task("ping", async () => "pong")
    const closed: Promise<void>[] = []
    const heard = hearTask(task)
    task.on("completed", () => closed.push(taskora.close()))
    await taskora.start()
    const id = await task.dispatch({})
    await until(() => closed.length > 0, "close was called")
    await Promise.all(closed)
    expect(heard.names(id)).toEqual(["active", "completed"])
  })

  it("slow listeners hold up neither the events nor the jobs", async () => {
    const taskora = app()
    const task = taskora.task("ping", { concurrency: 2, handler: async () => "pong" })
    const never = new Promise(() => {})
    task.on("completed", () => never)
    const heard = hearTask(task)
    await taskora.start()
    task.dispatchMany(Array.from({ length: 50 }, () => ({ data: 0 })))
    await heard.until("completed", 50)
  })

  it("100,000 listeners can come, hear one event each, and go", async () => {
    const taskora = app()
    const task = taskora.task("ping", async () => "pong")
    let calls = 0
    const stops: (() => void)[] = []
    for (let i = 0; i < 100_000; i++) stops.push(task.on("completed", () => calls++))
    await taskora.start()
    await task.dispatch({})
    await until(() => calls > 0, "the event")
    expect(calls).toBe(100_000)
    for (const stop of stops) stop()
    await task.dispatch({}).result
    expect(calls).toBe(100_000)
  })

  it("unknown event names throw a TaskoraError that names the nearest known one", () => {
    const taskora = app()
    const task = taskora.task("ping", async () => "pong")
    const handle = task.dispatch({})
    const on = (target: { on: unknown }, name: unknown, listener: unknown = () => {}) =>
      (target.on as (name: unknown, listener: unknown) => void)(name, listener)
    const refusal = (run: () => void) => {
      try {
        run()
      } catch (error) {
        expect(error).toBeInstanceOf(TaskoraError)
        expect(error).toHaveProperty("code", "INVALID")
        return (error as Error).message
      }
      return "accepted"
    }
    expect(refusal(() => on(task, "complete"))).toBe(
      'there is no event "complete"; did you mean "completed"?',
    )
    expect(refusal(() => on(task, "canceled"))).toBe(
      'there is no event "canceled"; did you mean "cancelled"?',
    )
    expect(refusal(() => on(handle, "Failed"))).toContain('did you mean "failed"?')
    expect(refusal(() => on(taskora, "task:complete"))).toContain('did you mean "task:completed"?')
    expect(refusal(() => on(taskora, "worker:redy"))).toContain('did you mean "worker:ready"?')
    expect(refusal(() => on(taskora, "completed"))).toContain('"completed"')
    for (const name of ["", "__proto__", "constructor", 7, undefined, null, Symbol("active")])
      expect(refusal(() => on(task, name))).toContain("there is no event")
    for (const listener of [null, "text", {}])
      expect(refusal(() => on(task, "completed", listener))).toBe(
        'the listener of "completed" must be a function',
      )
  })

  it("all names of the page are known", () => {
    const taskora = app()
    const task = taskora.task("ping", async () => "pong")
    const names: TaskEventName[] = [
      ...(["completed", "failed", "retrying", "progress", "active", "stalled", "cancelled"] as const),
    ]
    for (const name of names) {
      task.on(name, () => {})()
      taskora.on(`task:${name}`, () => {})()
    }
    for (const name of ["worker:ready", "worker:error", "worker:closing"] as const)
      taskora.on(name, () => {})()
  })
})

function fail(): never {
  throw new Error("the listener of errors fails")
}
