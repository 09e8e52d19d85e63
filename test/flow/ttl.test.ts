import { expect, it } from "vitest"
import { ExpiredError, JobGoneError, type Transition } from "../../src/index.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("ttl", (host) => {
  const open = testApps()

  it("a job not started within it expires: state, error for waiters, event on task and app", async () => {
    const app = open({ adapter: host.adapter() })
    const heard: object[] = []
    const task = app.task("mail", { handler: () => new Promise((resolve) => setTimeout(resolve, 400)) })
    task.on("expired", (payload) => heard.push(payload))
    app.on("task:expired", (payload) => heard.push(payload))
    await app.start()
    const busy = task.dispatch(1)
    await busy
    const late = task.dispatch(2, { ttl: 50 })
    await expect(late.result).rejects.toThrow(ExpiredError)
    await expect(late.result).rejects.toMatchObject({ code: "EXPIRED" })
    expect(await late.getState()).toBe("expired")
    await until(() => heard.length === 2, "both listeners heard it")
    expect(heard).toEqual([
      { id: late.id, attempt: 0 },
      { task: "mail", id: late.id, attempt: 0 },
    ])
    // A waiter that comes afterwards learns it from the record.
    await expect(late.waitFor(5000)).rejects.toThrow(
      `job ${late.id} of task "mail" was not started within its ttl`,
    )
    await busy.result
    const stats = await app.inspect().stats()
    expect(stats).toMatchObject({ completed: 1, expired: 1, waiting: 0 })
    expect(stats.transitions).toMatchObject({ expired: 1, discarded: 0, started: 1 })
    expect((await app.inspect().expired()).map(({ id }) => id)).toEqual([late.id])
  })

  it("expiry is noticed at its time by upkeep, with no slot free and no other job", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task("mail", { handler: () => new Promise((resolve) => setTimeout(resolve, 3000)) })
    await app.start()
    await task.dispatch(1)
    const began = performance.now()
    await expect(task.dispatch(2, { ttl: 100 }).result).rejects.toThrow(ExpiredError)
    expect(performance.now() - began).toBeLessThan(2500)
  })

  it("a job in retry backoff can expire too, and tells its attempts", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task("mail", {
      retry: { attempts: 3, delay: "1h" },
      handler: () => {
        throw new Error("it broke")
      },
    })
    const heard: object[] = []
    task.on("failed", () => {})
    task.on("expired", (payload) => heard.push(payload))
    await app.start()
    const handle = task.dispatch(1, { ttl: 300 })
    await expect(handle.result).rejects.toThrow(ExpiredError)
    await until(() => heard.length > 0, "it was heard")
    expect(heard).toEqual([{ id: handle.id, attempt: 1 }])
    expect((await handle.getJob())?.error).toMatchObject({ message: "it broke" })
  })

  it("a job that starts in time is not ended by it", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task("mail", {
      handler: () => new Promise((resolve) => setTimeout(() => resolve("done"), 300)),
    })
    await app.start()
    expect(await task.dispatch(1, { ttl: 150 }).result).toBe("done")
  })

  it("`ttl.max` of a task holds for every dispatch that says nothing, and bounds those that do", async () => {
    const adapter = host.adapter()
    const app = open({ adapter })
    const task = app.task("mail", { ttl: { max: 60 } })
    const own = task.dispatch(1)
    await own
    expect(() => task.dispatch(1, { ttl: 61 })).toThrow(
      'task "mail": dispatch: ttl of 61 ms is longer than the task\'s ttl.max of 60 ms',
    )
    expect(() => task.dispatch(1, { delay: 60 })).toThrow("would expire first, after its ttl of 60 ms")
    await new Promise((resolve) => setTimeout(resolve, 70))
    const worker = open({ adapter: host.sibling(adapter) })
    worker.task("mail", () => "too late")
    await worker.start()
    await expect(own.result).rejects.toThrow(ExpiredError)
  })

  it('`onExpire: "discard"` leaves no trace but the counter; its waiter is told all the same', async () => {
    const told: Transition[] = []
    const observer = { name: "test", transition: (transition: Transition) => told.push(transition) }
    const app = open({ adapter: host.adapter(), observers: [observer] })
    const task = app.task("mail", {
      ttl: { onExpire: "discard" },
      handler: () => new Promise((resolve) => setTimeout(resolve, 400)),
    })
    const heard: object[] = []
    task.on("expired", (payload) => heard.push(payload))
    await app.start()
    await task.dispatch(1)
    const late = task.dispatch(2, { ttl: 50 })
    const error = await late.waitFor("10s").catch((error: unknown) => error)
    expect(error instanceof ExpiredError || error instanceof JobGoneError).toBe(true)
    expect(await late.getState()).toBeUndefined()
    const { transitions, expired } = await app.inspect().stats()
    expect([transitions.discarded, transitions.expired, expired, heard.length]).toEqual([1, 0, 0, 0])
    expect(told.filter(({ kind }) => kind === "expired")).toMatchObject([
      { id: late.id, discarded: true, attempts: 0 },
    ])
  })

  it("of two processes, the one that noticed it counts it, once", async () => {
    const adapter = host.adapter()
    const told: string[] = []
    const observer = (name: string) => ({
      name,
      transition: ({ kind }: Transition) => {
        if (kind === "expired") told.push(name)
      },
    })
    const apps = [host.sibling(adapter), adapter].map((own, i) => {
      const app = open({ adapter: own, observers: [observer(`app${i}`)] })
      return { app, task: app.task("mail", () => new Promise((resolve) => setTimeout(resolve, 500))) }
    })
    for (const { app } of apps) await app.start()
    const task = apps[0]!.task
    await Promise.all(task.dispatchMany([{ data: 1 }, { data: 2 }]))
    const late = task.dispatchMany(Array.from({ length: 20 }, () => ({ data: 3, options: { ttl: 60 } })))
    await Promise.all(late.map((handle) => expect(handle.result).rejects.toThrow(ExpiredError)))
    await until(() => told.length >= 20, "all are told")
    expect(told.length).toBe(20)
  })

  it.each([
    [{ ttl: 0 }, "ttl"],
    [{ ttl: "soon" as never }, "ttl"],
    [{ ttl: "1m", delay: "2m" }, "would expire first"],
  ] as const)("a dispatch with %o is refused in words", (options, words) => {
    const app = open({ adapter: host.adapter() })
    expect(() => app.task("mail").dispatch(1, options)).toThrow(words)
  })

  it.each([
    [{ ttl: { onExpire: "drop" as never } }, 'ttl.onExpire must be "fail" or "discard", not "drop"'],
    [{ ttl: { maximum: 5 } as never }, 'there is no option "maximum"'],
    [{ ttl: { max: -1 } }, "ttl.max"],
  ] as const)("a task with %o is refused in words", (options, words) => {
    const app = open({ adapter: host.adapter() })
    expect(() => app.task("mail", options)).toThrow(words)
  })
})
