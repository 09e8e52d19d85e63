import { expect, it } from "vitest"
import { type AppOptions, type DispatchOptions, DuplicateJobError, type JobHandle } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("deduplicate", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })
  const once: DispatchOptions = { deduplicate: { key: "k" } }

  /** A task whose jobs go on when they are let. */
  function held(options?: Partial<AppOptions>) {
    const taskora = app(options)
    let open = () => {}
    const door = new Promise<void>((resolve) => {
      open = resolve
    })
    const task = taskora.task<string, string>("sync", {
      concurrency: 5,
      retry: { attempts: 2, delay: "1h" },
      handler: async (data) => {
        await door
        if (data.startsWith("fails")) throw new Error(data)
        return data
      },
    })
    return { taskora, task, heard: hearTask(task), open: () => open() }
  }

  const duplicates = async (handle: JobHandle) => {
    await handle
    return handle.existingId
  }

  it("an existing job in one of these states wins: enqueued === false, existingId set", async () => {
    const task = app().task("sync")
    const first = task.dispatch("first", once)
    const second = task.dispatch("second", once)
    expect(await first).toBe(first.id)
    expect(await second).toBe(first.id)
    expect([first.enqueued, first.existingId]).toEqual([true, undefined])
    expect([second.enqueued, second.existingId, second.id]).toEqual([false, first.id, first.id])
    expect((await first.getJob())!.data).toBe("first")
  })

  it("default all three: waiting, delayed, active; and retrying counts as delayed", async () => {
    const { taskora, task, heard, open } = held()
    const delayed = task.dispatch("delayed", { ...once, delay: "1h" })
    await delayed
    expect(await duplicates(task.dispatch("while delayed", once))).toBe(delayed.id)
    await delayed.cancel()
    const job = task.dispatch("fails", once)
    await job
    expect(await duplicates(task.dispatch("while waiting", once))).toBe(job.id)
    await taskora.start()
    await heard.until("active")
    expect(await duplicates(task.dispatch("while active", once))).toBe(job.id)
    open()
    await heard.until("retrying")
    expect(await job.getState()).toBe("retrying")
    expect(await duplicates(task.dispatch("while retrying", once))).toBe(job.id)
    const others: DispatchOptions = { deduplicate: { key: "k", while: ["waiting", "active"] } }
    expect(await duplicates(task.dispatch("not while retrying", others))).toBeUndefined()
  })

  it.each([
    ["waiting", ["delayed", "active"]],
    ["delayed", ["waiting", "active"]],
    ["active", ["waiting", "delayed"]],
  ] as const)(
    "while: a job that is %s stands for a dispatch only where that is named",
    async (state, others) => {
      const { taskora, task, heard } = held()
      const first = task.dispatch("first", { ...once, ...(state === "delayed" && { delay: "1h" }) })
      await first
      if (state === "active") {
        await taskora.start()
        await heard.until("active")
      }
      const named = (states: readonly ("waiting" | "delayed" | "active")[]): DispatchOptions => ({
        deduplicate: { key: "k", while: states },
      })
      expect(await duplicates(task.dispatch("named", named([state])))).toBe(first.id)
      expect(await duplicates(task.dispatch("not named", named(others)))).toBeUndefined()
    },
  )

  it("several jobs may live under a key, and each is found in its state", async () => {
    const { taskora, task, heard } = held()
    const first = task.dispatch("active", once)
    await taskora.start()
    await heard.until("active")
    const queued: DispatchOptions = { deduplicate: { key: "k", while: ["delayed"] }, delay: "1h" }
    const second = task.dispatch("delayed", queued)
    await second
    expect(await duplicates(task.dispatch("a", queued))).toBe(second.id)
    const running: DispatchOptions = { deduplicate: { key: "k", while: ["active"] } }
    expect(await duplicates(task.dispatch("b", running))).toBe(first.id)
  })

  it("handle.result follows the existing job", async () => {
    const { taskora, task, heard, open } = held()
    const first = task.dispatch("first", once)
    const before = task.dispatch("before it runs", once).result
    await taskora.start()
    await heard.until("active")
    const during = task.dispatch("as it runs", once).result
    const awaited = task.dispatch("awaited first", once)
    await awaited
    open()
    expect(await Promise.all([before, during, awaited.result, first.result])).toEqual(Array(4).fill("first"))
  })

  it("and the rest of the handle follows it: on, getState, getJob, waitFor, cancel", async () => {
    const { taskora, task, heard } = held()
    const first = task.dispatch("first", once)
    await first
    const second = task.dispatch("second", once)
    const events: unknown[] = []
    second.on("active", (payload) => events.push(payload))
    second.on("cancelled", (payload) => events.push(payload))
    expect(await second.getState()).toBe("waiting")
    expect((await second.getJob())!.id).toBe(first.id)
    await taskora.start()
    await heard.until("active")
    await until(() => events.length === 1, "the second handle heard of the first job's run")
    expect(events[0]).toMatchObject({ id: first.id, attempt: 1 })
    await expect(second.waitFor(20)).rejects.toMatchObject({ code: "TIMEOUT" })
    expect(await second.cancel({ reason: "enough" })).toBe("requested")
    await expect(second.result).rejects.toMatchObject({ code: "CANCELLED", reason: "enough" })
    await expect(first.result).rejects.toMatchObject({ code: "CANCELLED" })
    await until(() => events.length === 2, "the second handle heard of the end")
  })

  it("throwOnReject gives DuplicateJobError { key, existingId }", async () => {
    const task = app().task("sync")
    const first = task.dispatch("first", once)
    await first
    const strict = task.dispatch("second", { ...once, throwOnReject: true })
    const error = await strict.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(DuplicateJobError)
    expect(error).toMatchObject({ code: "DUPLICATE", key: "k", existingId: first.id })
    expect((error as Error).message).toContain('under deduplication key "k"')
    await expect(strict.result).rejects.toBe(error)
    expect([strict.enqueued, strict.existingId]).toEqual([false, first.id])
  })

  it("throwOnReject gives it for a duplicate jobId too, whose key is the id", async () => {
    const task = app().task("sync")
    await task.dispatch(1, { jobId: "seven", throwOnReject: true })
    const again = task.dispatch(2, { jobId: "seven", throwOnReject: true })
    await expect(again).rejects.toMatchObject({ code: "DUPLICATE", key: "seven", existingId: "seven" })
    expect(again.enqueued).toBe(false)
  })

  it("the key is free again when the job has ended, however it ended", async () => {
    const { taskora, task, heard, open } = held({ retention: { completed: { maxItems: 0 } } })
    const isFree = async (handle: JobHandle) => {
      await handle
      expect(handle.enqueued).toBe(true)
    }
    const waiting = task.dispatch("waiting", once)
    await isFree(waiting)
    await waiting.cancel()
    const delayed = task.dispatch("delayed", { ...once, delay: "1h" })
    await isFree(delayed)
    await delayed.cancel()
    const running = task.dispatch("running", once)
    await isFree(running)
    await taskora.start()
    await heard.until("active")
    await running.cancel()
    await running.result.catch(() => {})
    open()
    const done = task.dispatch("done", once)
    await isFree(done)
    expect(await done.result).toBe("done")
    await isFree(task.dispatch("last", once))
    const failing = taskora.task("failing", () => Promise.reject(new Error("no")))
    await expect(failing.dispatch(1, once).result).rejects.toThrow("no")
    await isFree(failing.dispatch(1, once))
  })

  it("1,000 dispatches at once make one job", async () => {
    const task = app().task("sync")
    const handles = Array.from({ length: 1000 }, (_, i) => task.dispatch(i, once))
    expect(new Set(await Promise.all(handles)).size).toBe(1)
    expect(handles.filter(({ enqueued }) => enqueued)).toEqual([handles[0]])
  })

  it("keys and tasks are apart, and dispatchMany takes it per job", async () => {
    const taskora = app()
    const [one, two] = [taskora.task("one"), taskora.task("two")]
    await one.dispatch(0, once)
    const handles = [
      two.dispatch(1, once),
      ...one.dispatchMany([
        { data: 1, options: { deduplicate: { key: "other" } } },
        { data: 2, options: { deduplicate: { key: "other" } } },
        { data: 3 },
        { data: 4, options: once },
      ]),
    ]
    await Promise.all(handles)
    expect(handles.map(({ enqueued }) => enqueued)).toEqual([true, true, false, true, false])
  })

  it.each([
    [{ deduplicate: { key: "k", while: [] } }, "deduplicate.while must be a list"],
    [{ deduplicate: { key: "k", while: "active" } }, "deduplicate.while must be a list"],
    [
      { deduplicate: { key: "k", while: ["retrying"] } },
      '"retrying" is none of waiting, delayed (retrying too)',
    ],
    [{ deduplicate: { key: "k", while: ["toString"] } }, '"toString" is none of'],
    [{ deduplicate: { key: "" } }, "deduplicate.key"],
    [{ deduplicate: { key: "k", until: 1 } }, 'there is no option "until"'],
  ])("refuses %j", (options, message) => {
    expect(() =>
      app()
        .task("sync")
        .dispatch(1, options as DispatchOptions),
    ).toThrow(message)
  })
})
