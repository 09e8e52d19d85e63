import { expect, it } from "vitest"
import { z } from "zod"
import { type App, into, type Observer, type StoreCall } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

const v2 = z.object({ name: z.string() })

/** Counts the calls of one app. */
function counting(): Observer & { readonly calls: string[] } {
  const calls: string[] = []
  return {
    name: "counting",
    calls,
    storeCall(call: StoreCall, run) {
      calls.push(call.script)
      return run()
    },
  }
}

onBothHosts("a fleet of an old and a new version", (host) => {
  const openApp = testApps()
  const ran: string[] = []

  /** A process of the old program: data has first and last names. */
  function oldProgram(app: App, name: string) {
    return app.task<{ first: string; last: string }, string>("greet", {
      concurrency: 3,
      handler: (data) => {
        if (!("first" in data)) throw new Error(`the old program got ${JSON.stringify(data)}`)
        ran.push(name)
        return `${data.first} ${data.last}`
      },
    })
  }

  /** A process of the new one: data has one name. */
  function newProgram(app: App, name: string) {
    return app.task("greet", {
      concurrency: 3,
      input: v2,
      migrate: [
        into(v2, (data: { first: string; last: string }) => ({ name: `${data.first} ${data.last}` })),
      ],
      handler: (data) => {
        ran.push(name)
        return data.name
      },
    })
  }

  it("a rolling deploy: no job fails, new jobs wait for the new program, old ones migrate", async () => {
    ran.length = 0
    const adapter = host.adapter()
    const [first, second, third, fourth] = Array.from({ length: 4 }, () =>
      openApp({ adapter: host.sibling(adapter) }),
    )
    oldProgram(first!, "old")
    oldProgram(second!, "old")
    const elsewhere = openApp({ adapter: host.sibling(adapter) }).task<unknown, string>("greet")
    await Promise.all([first!.start(), second!.start()])
    const results: Promise<string>[] = []
    const dispatchOld = (n: number) => {
      for (let i = 0; i < n; i++)
        results.push(elsewhere.dispatch({ first: "Ann", last: `${results.length}` }).result)
    }
    dispatchOld(100)

    // The first process of the new program comes up and dispatches; old ones are still at work.
    const fresh = newProgram(third!, "new")
    const heard = hearTask(fresh)
    await third!.start()
    const dispatchNew = (n: number) => {
      for (let i = 0; i < n; i++) results.push(fresh.dispatch({ name: `Ann ${results.length}` }).result)
    }
    for (let round = 0; round < 5; round++) {
      dispatchNew(20)
      dispatchOld(20)
      await Promise.race(results.slice(-40))
    }
    await first!.close()
    dispatchNew(20)
    newProgram(fourth!, "new")
    await fourth!.start()
    dispatchOld(10)
    await second!.close()
    dispatchNew(50)

    expect(await Promise.all(results)).toEqual(results.map((_, i) => `Ann ${i}`))
    expect(heard.of("failed")).toEqual([])
    expect(new Set(ran)).toEqual(new Set(["old", "new"]))
    expect(await third!.inspect().stats()).toMatchObject({ waiting: 0, delayed: 0, active: 0, failed: 0 })
  })

  it("jobs that nobody takes yet cost no calls: none spins", async () => {
    const adapter = host.adapter()
    const observers = [counting(), counting()]
    const olds = observers.map((observer) =>
      openApp({ adapter: host.sibling(adapter), observers: [observer] }),
    )
    const [task] = olds.map((app) => oldProgram(app, "old"))
    await Promise.all(olds.map((app) => app.start()))
    // A producer was deployed before the workers.
    const producer = openApp({ adapter: host.sibling(adapter) })
    const fresh = producer.task("greet", { version: 2, input: v2 })
    const handles = fresh.dispatchMany(Array.from({ length: 500 }, (_, i) => ({ data: { name: `${i}` } })))
    await Promise.all(handles)
    // They have all been put aside when a job behind them is done.
    expect(await task!.dispatch({ first: "a", last: "b" }).result).toBe("a b")
    const settles = () => observers.map(({ calls }) => calls.filter((name) => name === "settle").length)
    const before = observers.map(({ calls }) => calls.length)
    const seconds = 3
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    const rates = observers.map(({ calls }, i) => (calls.length - before[i]!) / seconds)
    for (const rate of rates) expect(rate).toBeLessThan(4)
    // Nor did putting them aside take more than a call for a few of them.
    expect(Math.max(...settles())).toBeLessThan(50)
    expect(await producer.inspect().stats()).toMatchObject({ waiting: 500, active: 0 })
    expect((await producer.inspect().waiting({ limit: 500 })).length).toBe(500)

    const late = openApp({ adapter: host.sibling(adapter) })
    newProgram(late, "new")
    await late.start()
    expect(await Promise.all(handles.map((handle) => handle.result))).toEqual(handles.map((_, i) => `${i}`))
  })

  it("an idle newer worker is woken for what an older one puts aside, long before upkeep comes by", async () => {
    const adapter = host.adapter()
    const [one, two, newest] = Array.from({ length: 3 }, () => openApp({ adapter: host.sibling(adapter) }))
    oldProgram(one!, "old")
    oldProgram(two!, "old")
    newProgram(newest!, "new")
    await Promise.all([one!.start(), two!.start(), newest!.start()])
    const fresh = openApp({ adapter: host.sibling(adapter) }).task("greet", { version: 2, input: v2 })
    // Upkeep, every five seconds, would take more than a minute for them all.
    for (let i = 0; i < 20; i++) expect(await fresh.dispatch({ name: `${i}` }).waitFor("20s")).toBe(`${i}`)
  })

  it("what waits for a newer worker can be cancelled, and its state is waiting", async () => {
    const adapter = host.adapter()
    const app = openApp({ adapter })
    const task = oldProgram(app, "old")
    await app.start()
    const fresh = openApp({ adapter: host.sibling(adapter) }).task("greet", { version: 2 })
    const handle = fresh.dispatch({ name: "a" })
    await handle
    await task.dispatch({ first: "a", last: "b" }).result
    expect(await handle.getState()).toBe("waiting")
    expect(await handle.cancel()).toBe("cancelled")
    expect(await handle.getState()).toBe("cancelled")
  })

  it("to deduplication, what waits for a newer worker waits", async () => {
    const adapter = host.adapter()
    const app = openApp({ adapter })
    const task = oldProgram(app, "old")
    await app.start()
    const fresh = openApp({ adapter: host.sibling(adapter) }).task("greet", { version: 2 })
    const deduplicate = { key: "one", while: ["waiting"] as const }
    const first = fresh.dispatch({ name: "a" }, { deduplicate })
    await first
    await task.dispatch({ first: "a", last: "b" }).result
    const second = fresh.dispatch({ name: "b" }, { deduplicate })
    await second
    expect([second.enqueued, second.existingId]).toEqual([false, first.id])
  })

  it("inspect().migrations(task): versions over states, and whether since can be raised", async () => {
    const adapter = host.adapter()
    const old = openApp({ adapter })
    const oldTask = oldProgram(old, "old")
    const app = openApp({ adapter: host.sibling(adapter) })
    const task = newProgram(app, "new")
    const migrations = () => app.inspect().migrations("greet")
    expect(await migrations()).toEqual({
      version: 2,
      since: 1,
      versions: {},
      safeSince: 2,
      canBumpSince: true,
    })

    const ann = { first: "Ann", last: "Lee" }
    const held = oldTask.dispatchMany([...Array(150)].map(() => ({ data: ann })))
    await Promise.all([
      ...held,
      oldTask.dispatch(ann, { delay: "1h" }),
      oldTask.dispatch(ann, { priority: 1 }),
    ])
    await task.dispatch({ name: "Bob" })
    expect(await migrations()).toEqual({
      version: 2,
      since: 1,
      versions: { 1: { waiting: 151, delayed: 1 }, 2: { waiting: 1 } },
      safeSince: 1,
      canBumpSince: false,
    })

    await app.start()
    await Promise.all(held.map(({ result }) => result))
    // What is left of version 1 is delayed for an hour.
    await until(async () => (await migrations()).versions[1]?.waiting === undefined, "all ran")
    expect(await migrations()).toMatchObject({ versions: { 1: { delayed: 1 } }, canBumpSince: false })
    expect(await old.inspect().migrations("greet")).toMatchObject({
      version: 1,
      since: 1,
      canBumpSince: false,
    })
  })

  it("canBumpSince is true as soon as nothing old has yet to end", async () => {
    const adapter = host.adapter()
    const app = openApp({ adapter })
    const task = app.task("greet", { version: 3, handler: () => 1 })
    const old = openApp({ adapter: host.sibling(adapter) }).task("greet", { version: 2 })
    const handle = old.dispatch(1, { delay: "1h" })
    await handle
    expect(await app.inspect().migrations("greet")).toMatchObject({ safeSince: 2, canBumpSince: true })
    await handle.cancel()
    await task.dispatch(2)
    expect(await app.inspect().migrations("greet")).toEqual({
      version: 3,
      since: 1,
      versions: { 2: { cancelled: 1 }, 3: { waiting: 1 } },
      safeSince: 3,
      canBumpSince: true,
    })
    await expect(app.inspect().migrations("nobody")).rejects.toThrow(/"nobody" is not declared/)
  })
})
