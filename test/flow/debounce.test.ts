import { expect, it } from "vitest"
import { type AppOptions, CancelledError, type DispatchOptions } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("debounce", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })
  const anHour: DispatchOptions = { debounce: { key: "k", delay: "1h" } }

  it("the last dispatch within the window wins; the earlier job is replaced", async () => {
    const taskora = app()
    const task = taskora.task<number, number>("save", async (n) => n)
    const [first, second, third] = [1, 2, 3].map((n) =>
      task.dispatch(n, { debounce: { key: "k", delay: n < 3 ? "1h" : 20 } }),
    )
    await Promise.all([first, second, third])
    expect([first!.enqueued, second!.enqueued, third!.enqueued]).toEqual([true, true, true])
    await taskora.start()
    expect(await third!.result).toBe(3)
    expect(await first!.getState()).toBe("cancelled")
    expect(await second!.getState()).toBe("cancelled")
    expect(await third!.getState()).toBe("completed")
  })

  it("its handle settles as cancelled with reason debounced, also where the two came in different calls", async () => {
    const task = app().task("save")
    const early = task.dispatch(1, anHour)
    await early
    const waiting = early.result.catch((error: unknown) => error)
    const heard = hearTask(task)
    await task.dispatch(2, anHour)
    const error = await waiting
    expect(error).toBeInstanceOf(CancelledError)
    expect(error).toMatchObject({ code: "CANCELLED", reason: "debounced" })
    await expect(early.result).rejects.toBe(error)
    await heard.until("cancelled")
    expect(heard.of("cancelled")).toEqual([{ id: early.id, reason: "debounced" }])
    expect(await early.getJob()).toMatchObject({ state: "cancelled" })
  })

  it("a replaced job that is not kept settles all the same", async () => {
    const task = app({ retention: { failed: { maxItems: 0 } } }).task("save")
    const handles = Array.from({ length: 5 }, (_, i) => task.dispatch(i, anHour))
    const outcomes = handles.slice(0, 4).map(({ result }) => result)
    for (const outcome of await Promise.allSettled(outcomes))
      expect(outcome).toMatchObject({ reason: { code: "CANCELLED", reason: "debounced" } })
    expect(await handles[4]!.getState()).toBe("delayed")
    expect(await handles[0]!.getState()).toBeUndefined()
  })

  it("the window begins anew with each dispatch, and maxWait bounds the wait", async () => {
    const taskora = app()
    const ran: string[] = []
    const task = taskora.task<string>("save", async (data) => {
      ran.push(data)
    })
    await taskora.start()
    const begun = performance.now()
    let n = 0
    await until(async () => {
      await task.dispatch(`${n++}`, { debounce: { key: "bounded", delay: "1h", maxWait: 150 } })
      await task.dispatch("unbounded", { debounce: { key: "unbounded", delay: "1h" } })
      return ran.length > 0
    }, "one ran")
    expect(performance.now() - begun).toBeGreaterThanOrEqual(150)
    expect(ran).not.toContain("unbounded")
  })

  it("a job that was cancelled, or has begun, is replaced no more: the next dispatch opens a window of its own", async () => {
    const taskora = app()
    let goOn = () => {}
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const task = taskora.task<string, string>("save", async (data) => {
      await gate
      return data
    })
    const heard = hearTask(task)
    await taskora.start()
    const cancelled = task.dispatch("cancelled", anHour)
    await cancelled
    await cancelled.cancel({ reason: "by hand" })
    const running = task.dispatch("running", { debounce: { key: "k", delay: 10 } })
    await heard.until("active")
    const next = task.dispatch("next", { debounce: { key: "k", delay: 10 } })
    await next
    goOn()
    expect(await running.result).toBe("running")
    expect(await next.result).toBe("next")
    await expect(cancelled.result).rejects.toMatchObject({ reason: "by hand" })
  })

  it("1,000 dispatches in the window run once, with the last data", async () => {
    const taskora = app()
    const ran: number[] = []
    const task = taskora.task<number>("save", async (n) => {
      ran.push(n)
    })
    const heard = hearTask(task)
    await taskora.start()
    const handles = Array.from({ length: 1000 }, (_, n) =>
      task.dispatch(n, { debounce: { key: "k", delay: 500 } }),
    )
    await handles[999]!.result
    expect(ran).toEqual([999])
    await heard.until("cancelled", 999)
    expect(heard.of("cancelled").map(({ id }) => id)).toEqual(handles.slice(0, 999).map(({ id }) => id))
    const stats = await taskora.inspect().stats({ task: "save" })
    expect(stats).toMatchObject({ waiting: 0, delayed: 0, active: 0, completed: 1, cancelled: 300 })
  })

  it("keys and tasks are apart, and other options go along", async () => {
    const taskora = app()
    const [one, two] = [taskora.task("one"), taskora.task("two")]
    const handles = [
      one.dispatch(1, anHour),
      one.dispatch(1, { debounce: { key: "other", delay: "1h" } }),
      two.dispatch(1, { ...anHour, priority: 7 }),
    ]
    await Promise.all(handles)
    expect(await Promise.all(handles.map((handle) => handle.getState()))).toEqual(Array(3).fill("delayed"))
    expect((await handles[2]!.getJob())!.priority).toBe(7)
  })

  it("dispatchMany takes it per job", async () => {
    const task = app().task("save")
    const handles = task.dispatchMany([
      { data: 1, options: anHour },
      { data: 2 },
      { data: 3, options: anHour },
      { data: 4, options: { debounce: { key: "other", delay: "1h" } } },
    ])
    await Promise.all(handles)
    const states = await Promise.all(handles.map((handle) => handle.getState()))
    expect(states).toEqual(["cancelled", "waiting", "delayed", "delayed"])
  })

  it.each([
    [{ debounce: { key: "k" } }, "debounce.delay: undefined is not a duration"],
    [{ debounce: { key: "k", delay: 0 } }, "debounce.delay: 0 is not a duration of at least 1 ms"],
    [{ debounce: { key: "k", delay: 1, maxWait: "soon" } }, "debounce.maxWait"],
    [{ debounce: { key: "k", delay: 1, maxwait: 5 } }, 'did you mean "maxWait"?'],
    [{ debounce: { key: 7, delay: 1 } }, "debounce.key: 7 is not allowed"],
    [{ debounce: { key: "k", delay: 1 }, delay: 5 }, "a debounce has a delay of its own"],
  ])("refuses %j", (options, message) => {
    expect(() =>
      app()
        .task("save")
        .dispatch(1, options as DispatchOptions),
    ).toThrow(message)
  })

  const gates = {
    debounce: { key: "k", delay: 1 },
    throttle: { key: "k", max: 1, window: 1 },
    deduplicate: { key: "k" },
    jobId: "id",
  }
  const names = Object.keys(gates) as (keyof typeof gates)[]
  it.each(names.flatMap((one, i) => names.slice(i + 1).map((two) => [one, two] as const)))(
    "%s and %s exclude one another (a thrown error says so)",
    (one, two) => {
      const options = { [one]: gates[one], [two]: gates[two] }
      expect(() => app().task("save").dispatch(1, options)).toThrow(`${one} and ${two} exclude one another`)
    },
  )
})
