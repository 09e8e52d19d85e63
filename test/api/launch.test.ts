import { expect, it } from "vitest"
import { type Adapter, type Observer, UnconfirmedError } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { StoreError } from "../../src/store/store.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { manualClock } from "../support/manual-clock.ts"

/** Notes the scripts that carry jobs, and what is told of them. */
function notes() {
  const seen: string[] = []
  const observer: Observer = {
    name: "notes",
    transition: ({ kind }) => void (["dispatched", "active", "completed"].includes(kind) && seen.push(kind)),
    storeCall: (call, run) => {
      if (["enqueue", "launch"].includes(call.script)) seen.push(call.script)
      return run()
    },
  }
  return { seen, observers: [observer] }
}

onBothHosts("a job that is dispatched where nothing is to do", (host) => {
  const open = testApps()

  it("is stored and claimed in one call, and told as ever", async () => {
    const { seen, observers } = notes()
    const app = open({ adapter: host.adapter(), observers })
    const task = app.task("work", (data: number) => data + 1)
    await app.start()
    await until(async () => (await app.inspect().workers()).length === 1, "the worker is there")
    await until(async () => (await task.dispatch(1).result) === 2 && seen.includes("launch"), "launched")
    await until(() => seen.at(-1) === "completed", "the last one was told")
    expect(seen.slice(seen.lastIndexOf("launch"))).toEqual(["launch", "dispatched", "active", "completed"])
  })

  it("is stored like any other where options, company or a busy slot ask for it", async () => {
    const { seen, observers } = notes()
    const app = open({ adapter: host.adapter(), observers })
    let finish = () => {}
    const task = app.task("work", {
      concurrency: 2,
      handler: (data: string) => (data === "long" ? new Promise<void>((done) => (finish = done)) : undefined),
    })
    await task.dispatch("before the start")
    await app.start()
    await until(() => seen.includes("completed"), "it ran")
    await task.dispatch("named", { jobId: "n1" }).result
    await Promise.all([task.dispatch("one"), task.dispatch("two")].map((handle) => handle.result))
    expect(seen).not.toContain("launch")
    await until(async () => {
      const handle = task.dispatch("long")
      await handle
      if (seen.includes("launch")) return true
      await until(async () => (await handle.getState()) === "active", "it runs")
      finish()
      await handle.result
      return false
    }, "a launch")
    const launches = () => seen.filter((what) => what === "launch").length
    await task.dispatch("beside it").result
    expect(launches()).toBe(1)
    finish()
  })

  it("goes to another worker while this one's only slot is taken", async () => {
    const adapter = host.adapter()
    const [here, there] = [open({ adapter }), open({ adapter: host.sibling(adapter) })]
    const ran: string[] = []
    let finish = () => {}
    const task = here.task("work", async (data: string) => {
      ran.push(`${data} here`)
      await new Promise<void>((done) => (finish = done))
    })
    await here.start()
    await task.dispatch("first")
    await until(() => ran.length === 1, "the first one runs")
    there.task("work", (data: string) => void ran.push(`${data} there`))
    await there.start()
    await task.dispatch("second").result
    expect(ran).toEqual(["first here", "second there"])
    finish()
  })

  it("does not keep the slot from jobs that wait already", async () => {
    const adapter = host.adapter()
    const [here, there] = [open({ adapter }), open({ adapter: host.sibling(adapter) })]
    const feed = there.task("work")
    await Promise.all(Array.from({ length: 10 }, (_, i) => feed.dispatch(i)))
    const ran: number[] = []
    const task = here.task("work", (data: number) => void ran.push(data))
    await here.start()
    for (let i = 10; !ran.includes(9); i++) await task.dispatch(i)
    expect(ran.slice(0, 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it("runs before close() ends, or is handed back", async () => {
    const adapter = host.adapter()
    const app = open({ adapter })
    const ran: number[] = []
    const task = app.task("work", (data: number) => void ran.push(data))
    await app.start()
    for (let i = 0; i < 20; i++) await task.dispatch(i).result
    const last = task.dispatch(20)
    await app.close()
    await last
    const stats = await open({ adapter: host.sibling(adapter) })
      .inspect()
      .stats()
    expect(stats.active).toBe(0)
    const left = open({ adapter: host.sibling(adapter) })
    left.task("work")
    const { waiting, active, transitions } = await left.inspect().stats()
    expect([waiting + ran.length, active]).toEqual([21, 0])
    expect(transitions.stalled_recovered).toBe(0)
  })
})

/** The adapter, with a server whose answers to launches are lost as long as `lost` says so. */
function losing(adapter: Adapter, lost: (asking: boolean) => boolean): Adapter {
  return {
    ...adapter,
    open(instance, listeners) {
      const store = adapter.open(instance, listeners)
      const run = store.run.bind(store)
      store.run = async (script, keys, args) => {
        const reply = await run(script, keys, args)
        if (script.name === "launch" && lost(args[7] === 1)) throw new StoreError("cut", "unanswered")
        return reply
      }
      return store
    },
  }
}

const open = testApps()

async function launching(lost: (asking: boolean) => boolean) {
  const clock = manualClock()
  const app = open({ adapter: losing(memoryAdapter({ clock }), lost) })
  const ran: string[] = []
  const task = app.task("work", (_, { id }) => void ran.push(id))
  await app.start()
  for (let turn = 0; turn < 20; turn++) await clock.advance(0)
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 50) await clock.advance(50)
  }
  return { app, task, ran, pass }
}

it("a launch whose answer is lost is sent again, and runs once", async () => {
  let left = 3
  const { app, task, ran, pass } = await launching(() => left-- > 0)
  const handle = task.dispatch({})
  await pass(4000)
  expect(await handle).toBe(handle.id)
  expect(ran).toEqual([handle.id])
  expect((await app.inspect().stats()).transitions).toMatchObject({ started: 1, completed: 1 })
})

it("a launch of which nothing was heard is asked about, and runs once, without its lease running out", async () => {
  let away = true
  const { app, task, ran, pass } = await launching(() => away)
  const handle = task.dispatch({})
  const refused = expect(handle).rejects.toThrow(UnconfirmedError)
  await pass(6000)
  await refused
  expect(ran).toEqual([])
  away = false
  await pass(6000)
  expect(ran).toEqual([handle.id])
  expect((await app.inspect().stats()).transitions).toMatchObject({
    dispatched: 1,
    started: 1,
    completed: 1,
    stalled_recovered: 0,
  })
})
