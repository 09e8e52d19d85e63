import { expect, it } from "vitest"
import type { AppOptions } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("dispatch", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })

  /** A task whose handler notes its data, on an app that is not started yet. */
  function noting(concurrency = 1) {
    const taskora = app()
    const ran: unknown[] = []
    const task = taskora.task<unknown, void>("noting", {
      concurrency,
      handler: async (data) => {
        ran.push(data)
      },
    })
    return { taskora, task, ran }
  }

  it("is synchronous and needs no start(); awaiting the handle gives the job's id", async () => {
    const task = app().task("plain")
    const handle = task.dispatch({ a: 1 })
    expect(handle.id).toMatch(/^[a-z0-9]{16}$/)
    expect(handle.enqueued).toBeUndefined()
    expect(await handle).toBe(handle.id)
    expect(handle.enqueued).toBe(true)
    expect(handle.existingId).toBeUndefined()
    expect(await handle.getState()).toBe("waiting")
    expect(await handle.getJob()).toMatchObject({
      id: handle.id,
      task: "plain",
      state: "waiting",
      data: { a: 1 },
    })
  })

  it("first in, first out; higher priorities first, FIFO within each", async () => {
    const { taskora, task, ran } = noting()
    for (let i = 0; i < 5; i++) {
      task.dispatch(`plain ${i}`)
      task.dispatch(`high ${i}`, { priority: 5 })
      task.dispatch(`highest ${i}`, { priority: 2 ** 21 })
      task.dispatch(`low ${i}`, { priority: 1 })
    }
    await task.dispatch("last")
    await taskora.start()
    await until(() => ran.length === 21, "all ran")
    const band = (name: string) => Array.from({ length: 5 }, (_, i) => `${name} ${i}`)
    expect(ran).toEqual([...band("highest"), ...band("high"), ...band("low"), ...band("plain"), "last"])
  })

  it("dispatchMany keeps the order, with options for each, over several calls", async () => {
    const { taskora, task, ran } = noting()
    const handles = task.dispatchMany(
      Array.from({ length: 1203 }, (_, i) =>
        i === 1200 ? { data: i, options: { priority: 1 } } : { data: i },
      ),
    )
    expect(new Set(await Promise.all(handles)).size).toBe(1203)
    expect(task.dispatchMany([])).toEqual([])
    await taskora.start()
    await until(() => ran.length === 1203, "all ran")
    expect(ran[0]).toBe(1200)
    expect(ran.slice(1)).toEqual(Array.from({ length: 1203 }, (_, i) => i).filter((i) => i !== 1200))
  })

  it("jobs of more than 1 MiB together are stored in several calls, in their order", async () => {
    const { taskora, task, ran } = noting()
    const data = (i: number) => `${i} ${"x".repeat(400_000)}`
    await Promise.all(task.dispatchMany(Array.from({ length: 6 }, (_, i) => ({ data: data(i) }))))
    await taskora.start()
    await until(() => ran.length === 6, "all ran")
    expect(ran.map((text) => String(text)[0])).toEqual(["0", "1", "2", "3", "4", "5"])
  })

  it("one bad job of many is refused alone", async () => {
    const task = app().task("many")
    const outcomes = await Promise.allSettled(task.dispatchMany([{ data: 1 }, { data: 10n }, { data: 3 }]))
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"])
  })

  it("a delayed job waits for its time, then goes to the back of its band", async () => {
    const { taskora, task, ran } = noting()
    await taskora.start()
    const later = task.dispatch("later", { delay: 30 })
    await later
    expect(await later.getState()).toBe("delayed")
    await later.result
    expect(ran).toEqual(["later"])
    const job = await later.getJob()
    expect(job!.processedAt! - job!.timestamp).toBeGreaterThanOrEqual(30)
    expect(job!.eligibleAt - job!.timestamp).toBe(30)
  })

  it("jobId names a job while its record exists, in any state: a second dispatch stores nothing", async () => {
    const taskora = app({ retention: { completed: { maxItems: 0 }, failed: { maxItems: 10 } } })
    const ran: unknown[] = []
    let goOn = () => {}
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const task = taskora.task<string, void>("named", async (data) => {
      ran.push(data)
      await gate
    })
    const heard = hearTask(task)
    const first = task.dispatch("first", { jobId: "order:7" })
    expect(await first).toBe("order:7")
    expect(first).toMatchObject({ enqueued: true, existingId: undefined })
    const again = async (what: string) => {
      const handle = task.dispatch(what, { jobId: "order:7" })
      expect(await handle).toBe("order:7")
      return { enqueued: handle.enqueued, existingId: handle.existingId }
    }
    const refused = { enqueued: false, existingId: "order:7" }
    expect(await again("while waiting")).toEqual(refused)
    await taskora.start()
    await heard.until("active")
    expect(await again("while active")).toEqual(refused)
    const { result } = task.dispatch("for the result", { jobId: "order:7" })
    goOn()
    await result
    await heard.until("completed")
    // The record is gone, and the id is free: a new life.
    expect(await again("anew")).toEqual({ enqueued: true, existingId: undefined })
    await heard.until("completed", 2)
    expect(ran).toEqual(["first", "anew"])

    const delayed = task.dispatch("delayed", { jobId: "order:8", delay: "1h" })
    await delayed
    await delayed.cancel()
    const kept = task.dispatch("while its record is kept", { jobId: "order:8" })
    await kept
    expect(kept.enqueued).toBe(false)
    const [one, two] = task.dispatchMany([
      { data: "a", options: { jobId: "twice" } },
      { data: "b", options: { jobId: "twice" } },
    ])
    await Promise.all([one, two])
    expect([one!.enqueued, two!.enqueued]).toEqual([true, false])
  })

  it.each(["a", "é😀", "x".repeat(128), "__proto__", "a:b{c}*", "../x", "job:1", " "])(
    "job id %j is a job's own",
    async (jobId) => {
      const taskora = app()
      const task = taskora.task("ids", async (_, ctx) => ctx.id)
      await taskora.start()
      const handle = task.dispatch({}, { jobId })
      expect(await handle.result).toBe(jobId)
      expect(await taskora.inspect().find(jobId)).toMatchObject({ id: jobId, state: "completed" })
    },
  )

  it("A dispatch that failed and that nobody awaited goes to worker:error (kind dispatch), never to unhandledRejection", async () => {
    const taskora = openApp({ adapter: host.adapter() }, true)
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    const task = taskora.task("unheard")
    task.dispatch(10n)
    task.dispatchMany([{ data: () => 1 }])
    const awaited = task.dispatch(Symbol("s"))
    await expect(awaited).rejects.toMatchObject({ code: "SERIALIZATION" })
    await expect(task.dispatch(10n).result).rejects.toMatchObject({ code: "SERIALIZATION" })
    await expect(task.dispatch(10n).cancel()).rejects.toMatchObject({ code: "SERIALIZATION" })
    await expect(task.dispatch(10n).getState()).rejects.toMatchObject({ code: "SERIALIZATION" })
    await until(() => errors.length >= 2, "both were told")
    expect(errors).toHaveLength(2)
    for (const error of errors) expect(error).toMatchObject({ name: "SerializationError", kind: "dispatch" })
  })

  it("after close() a dispatch is rejected with code CLOSED", async () => {
    const taskora = app()
    const task = taskora.task("closed")
    await taskora.start()
    await taskora.close()
    await expect(task.dispatch({})).rejects.toMatchObject({ code: "CLOSED" })
    await expect(taskora.start()).rejects.toMatchObject({ code: "CLOSED" })
    await expect(taskora.listen()).rejects.toMatchObject({ code: "CLOSED" })
    expect(() => taskora.task("more")).toThrow("closed")
  })
})
