import { expect, it } from "vitest"
import { type AppOptions, type DispatchOptions, ThrottledError } from "../../src/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"

onBothHosts("throttle", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })
  const twoAnHour: DispatchOptions = { throttle: { key: "k", max: 2, window: "1h" } }

  it("Rejected: handle.enqueued === false, awaiting the handle still resolves (to the id it would have had)", async () => {
    const task = app().task("mail")
    const handles = [1, 2, 3].map((n) => task.dispatch(n, twoAnHour))
    const ids = handles.map(({ id }) => id)
    expect(await Promise.all(handles)).toEqual(ids)
    expect(handles.map(({ enqueued }) => enqueued)).toEqual([true, true, false])
    expect(handles[2]!.existingId).toBeUndefined()
    expect(handles[2]!.id).toBe(ids[2])
  })

  it("handle.result rejects with ThrottledError { key, retryAfterMs }", async () => {
    const task = app().task("mail")
    await task.dispatch(1, twoAnHour)
    await task.dispatch(2, twoAnHour)
    const late = task.dispatch(3, twoAnHour)
    const error = await late.result.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ThrottledError)
    const { key, retryAfterMs, code, message } = error as ThrottledError
    expect({ key, code }).toEqual({ key: "k", code: "THROTTLED" })
    expect(retryAfterMs).toBeGreaterThan(3_590_000)
    expect(retryAfterMs).toBeLessThanOrEqual(3_600_001)
    expect(message).toContain('task "mail" was throttled under key "k"')
    await expect(late.waitFor(1000)).rejects.toBe(error)
  })

  it("with throwOnReject awaiting the handle rejects with it too", async () => {
    const task = app().task("mail")
    const strict = { ...twoAnHour, throwOnReject: true }
    await Promise.all([task.dispatch(1, strict), task.dispatch(2, strict)])
    const handle = task.dispatch(3, strict)
    await expect(handle).rejects.toMatchObject({ code: "THROTTLED", key: "k" })
    await expect(handle.result).rejects.toBeInstanceOf(ThrottledError)
    await expect(handle.getState()).rejects.toBeInstanceOf(ThrottledError)
    expect(handle.enqueued).toBe(false)
  })

  it("with throwOnReject, one that nobody awaited goes to worker:error, as any dispatch that failed", async () => {
    const taskora = openApp({ adapter: host.adapter() }, true)
    const heard = new Promise<Error>((resolve) => taskora.on("worker:error", resolve))
    const once: DispatchOptions = { throttle: { key: "k", max: 1, window: "1h" }, throwOnReject: true }
    const task = taskora.task("mail")
    await task.dispatch(1, once)
    task.dispatch(2, once)
    expect(await heard).toMatchObject({ name: "ThrottledError", kind: "dispatch" })
  })

  it("a rejected one is no job: it has no state, no progress, and cannot be cancelled", async () => {
    const task = app().task("mail")
    await Promise.all([task.dispatch(1, twoAnHour), task.dispatch(2, twoAnHour)])
    const handle = task.dispatch(3, twoAnHour)
    handle.on("completed", () => {})
    expect(await handle.getState()).toBeUndefined()
    expect(await handle.getProgress()).toBeUndefined()
    expect(await handle.cancel()).toBe("finished")
  })

  it("the jobs that were let in run as any others, with a delay and a priority too", async () => {
    const taskora = app()
    const task = taskora.task<string, string>("mail", async (data) => data)
    const handles = [
      task.dispatch("a", { ...twoAnHour, priority: 3 }),
      task.dispatch("b", { ...twoAnHour, delay: 20 }),
    ]
    await taskora.start()
    expect(await Promise.all(handles.map(({ result }) => result))).toEqual(["a", "b"])
  })

  it("each key has a limit of its own, and each task its own keys", async () => {
    const taskora = app()
    const [one, two] = [taskora.task("one"), taskora.task("two")]
    const only = (key: string): DispatchOptions => ({ throttle: { key, max: 1, window: "1h" } })
    const handles = [
      one.dispatch(1, only("a")),
      one.dispatch(1, only("b")),
      two.dispatch(1, only("a")),
      one.dispatch(1, only("a")),
      one.dispatch(1),
    ]
    await Promise.all(handles)
    expect(handles.map(({ enqueued }) => enqueued)).toEqual([true, true, true, false, true])
  })

  it("dispatchMany takes it per job", async () => {
    const task = app().task("mail")
    const handles = task.dispatchMany([
      { data: 1, options: twoAnHour },
      { data: 2 },
      { data: 3, options: twoAnHour },
      { data: 4, options: twoAnHour },
      { data: 5, options: { jobId: "five" } },
      { data: 6, options: { jobId: "five" } },
      { data: 7, options: { ...twoAnHour, throttle: { key: "other", max: 1, window: 1000 } } },
    ])
    await Promise.all(handles)
    expect(handles.map(({ enqueued }) => enqueued)).toEqual([true, true, true, false, true, false, true])
    expect(handles.map(({ existingId }) => existingId)).toEqual([
      ...Array(5).fill(undefined),
      "five",
      undefined,
    ])
    await expect(handles[3]!.result).rejects.toMatchObject({ code: "THROTTLED" })
  })

  it("of 1,000 dispatches at once, exactly max are stored", async () => {
    const task = app().task("mail")
    const handles = Array.from({ length: 1000 }, (_, i) =>
      task.dispatch(i, { throttle: { key: "k", max: 137, window: "1h" } }),
    )
    await Promise.all(handles)
    expect(handles.map(({ enqueued }) => enqueued)).toEqual([
      ...Array(137).fill(true),
      ...Array(863).fill(false),
    ])
  })

  it.each([
    [{ throttle: { key: "", max: 1, window: 1 } }, 'throttle.key: "" is not allowed'],
    [{ throttle: { key: "x".repeat(129), max: 1, window: 1 } }, "throttle.key"],
    [{ throttle: { key: "a\nb", max: 1, window: 1 } }, "throttle.key"],
    [{ throttle: { max: 1, window: 1 } }, "throttle.key"],
    [{ throttle: { key: "k", max: 0, window: 1 } }, "throttle.max must be a whole number from 1 to 10000"],
    [{ throttle: { key: "k", max: 10_001, window: 1 } }, "throttle.max"],
    [{ throttle: { key: "k", max: 1, window: 0 } }, "throttle.window: 0 is not a duration"],
    [{ throttle: { key: "k", max: 1, windo: 1 } }, 'did you mean "window"?'],
    [{ throttle: "k" }, "throttle must be an object"],
    [{ throwOnReject: "yes" }, "throwOnReject must be true or false"],
  ])("refuses %j", (options, message) => {
    const task = app().task("mail")
    expect(() => task.dispatch(1, options as DispatchOptions)).toThrow(message)
    expect(() => task.dispatchMany([{ data: 1, options: options as DispatchOptions }])).toThrow(message)
  })
})
