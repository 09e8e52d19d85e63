import { expect, it } from "vitest"
import type { AppOptions, JobHandle, TaskEventName } from "../../src/index.ts"
import { taskEventNames } from "../../src/model/events.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

/** Listens to all of one job's events. */
function follow(handle: JobHandle): TaskEventName[] {
  const names: TaskEventName[] = []
  for (const name of taskEventNames) {
    handle.on(name, ({ id }) => {
      expect(id).toBe(handle.id)
      names.push(name)
    })
  }
  return names
}

onBothHosts("handle.on: this job's events only, from its own dispatch on", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })
  const whole = ["active", "progress", "failed", "retrying", "active", "completed"]

  /** A task whose jobs fail once. */
  function flaky(taskora: ReturnType<typeof app>) {
    return taskora.task("flaky", {
      concurrency: 2,
      retry: { attempts: 2, delay: 0 },
      handler: async (data, ctx) => {
        if (ctx.attempt > 1) return data
        ctx.progress(50)
        throw new Error("not yet")
      },
    })
  }

  /** A worker with a listener of failures, so that nothing is printed. */
  async function started() {
    const taskora = app()
    taskora.on("task:failed", () => {})
    const task = flaky(taskora)
    await taskora.start()
    return task
  }

  it("attached at the dispatch", async () => {
    const task = await started()
    const others = task.dispatchMany([{ data: 1 }, { data: 2 }])
    const handle = task.dispatch({})
    const names = follow(handle)
    await until(() => names.includes("completed"), "it completed")
    expect(names).toEqual(whole)
    await Promise.all(others.map((other) => other.result))
    expect(names).toEqual(whole)
  })

  it("without start() or listen(): the first listener opens the reader", async () => {
    const adapter = host.adapter()
    const dispatcher = openApp({ adapter })
    const worker = openApp({ adapter: host.sibling(adapter) })
    worker.on("task:failed", () => {})
    flaky(worker)
    const handle = dispatcher.task("flaky").dispatch({})
    const names = follow(handle)
    await handle
    await worker.start()
    await until(() => names.includes("completed"), "it completed")
    expect(names).toEqual(whole)
  })

  it("attached late, when the job has ended", async () => {
    const task = await started()
    const handle = task.dispatch({})
    const done = hearTask(task)
    await handle
    await done.until("completed")
    const names = follow(handle)
    await until(() => names.includes("completed"), "it completed")
    expect(names).toEqual(whole)
  })

  it("attached after handle.result was awaited", async () => {
    const task = await started()
    const handle = task.dispatch("value")
    expect(await handle.result).toBe("value")
    const names = follow(handle)
    await until(() => names.includes("completed"), "it completed")
    expect(names).toEqual(whole)
    expect(await handle.result).toBe("value")
  })

  it("a second listener, attached later than the first, hears all as well", async () => {
    const task = await started()
    const handle = task.dispatch("value")
    const first = follow(handle)
    await until(() => first.includes("completed"), "it completed")
    const second = follow(handle)
    await until(() => second.includes("completed"), "it completed for the second")
    expect(second).toEqual(whole)
    expect(first).toEqual(whole)
  })

  it("attached midway: what has been and what comes, once each and in order", async () => {
    const taskora = app()
    let goOn = () => {}
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const task = taskora.task("midway", async (_, ctx) => {
      ctx.progress(1)
      await gate
      ctx.progress(2)
    })
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    await heard.until("progress")
    const names = follow(handle)
    goOn()
    await until(() => names.includes("completed"), "it completed")
    expect(names).toEqual(["active", "progress", "progress", "completed"])
  })

  it("an unsubscribed listener hears no more, and leaves the others", async () => {
    const task = await started()
    const handle = task.dispatch({})
    let calls = 0
    const stop = handle.on("failed", () => calls++)
    const names = follow(handle)
    stop()
    stop()
    await until(() => names.includes("completed"), "it completed")
    expect(calls).toBe(0)
  })

  it("a listener that throws at one job's event is told to worker:error", async () => {
    const taskora = openApp({ adapter: host.adapter() }, true)
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    const task = taskora.task("ping", async () => "pong")
    await taskora.start()
    const handle = task.dispatch({})
    const trouble = new Error("thrown by a job's listener")
    handle.on("completed", () => {
      throw trouble
    })
    await until(() => errors.length > 0, "the error was told")
    expect(errors).toEqual([trouble])
    expect(await handle.result).toBe("pong")
  })

  it("a dispatch that fails with nothing but listeners on its handle goes to worker:error", async () => {
    const taskora = openApp({ adapter: host.adapter() }, true)
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    const task = taskora.task("ping", async () => "pong")
    task.dispatch(10n).on("completed", () => {})
    await until(() => errors.length > 0, "the error was told")
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatchObject({ name: "SerializationError", kind: "dispatch" })
  })
})
