import { Redis } from "ioredis"
import { expect, it } from "vitest"
import { JobGoneError } from "../../src/index.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"

onRedis("what a reader cannot read", (host) => {
  const open = testApps()
  const raw = () => new Redis(host.url() as string)

  it("a waiter whose job ended in a gap of the stream learns the result from its record", async () => {
    const adapter = host.adapter()
    const app = open({ adapter }, true)
    const lost: unknown[] = []
    app.on("worker:error", (error) => lost.push(error))
    const task = app.task<number, number>("work")
    const worker = open({ adapter: host.sibling(adapter), events: { maxLength: 1 } })
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    worker.task<number, number>("work", async (n) => {
      await held
      return n * 2
    })
    await worker.start()
    const handle = task.dispatch(21)
    const result = handle.result
    await until(async () => (await handle.getState()) === "active", "the job runs")
    const redis = raw()
    const stream = `${adapter.prefix}:taskora:{work}:events`
    // Its entries are gone before the reader comes back from a kill.
    const clients = (await redis.client("LIST")) as string
    const reader = clients.split("\n").find((line) => line.includes("cmd=xread")) as string
    await redis.client("KILL", "ID", /id=(\d+)/.exec(reader)![1]!)
    release()
    await until(async () => (await worker.inspect().stats()).completed === 1, "the job is completed")
    await redis.xtrim(stream, "MAXLEN", 0)
    redis.disconnect()
    expect(await result).toBe(42)
    expect(lost).toEqual([expect.objectContaining({ code: "EVENTS_LOST", task: "work", lost: 1 })])
  })

  it("a stream that was emptied before anything of it was read is reported with its exact size", async () => {
    const adapter = host.adapter()
    const app = open({ adapter }, true)
    const lost: unknown[] = []
    app.on("worker:error", (error) => lost.push(error))
    const task = app.task<number, number>("work", { handler: (n) => n, retry: { attempts: 1 } })
    const heard: number[] = []
    task.on("active", (_, { seq }) => heard.push(seq))
    await app.listen()
    const redis = raw()
    // As if three transitions had been told, and trimmed at once.
    await redis.hset(`${adapter.prefix}:taskora:{work}:stats`, "seq", 3)
    redis.disconnect()
    await until(() => lost.length > 0, "the gap is reported", 20_000)
    expect(lost).toEqual([expect.objectContaining({ code: "EVENTS_LOST", task: "work", lost: 3 })])
    await app.start()
    await task.dispatch(1)
    await until(() => heard.length > 0, "the next event arrives")
    expect(heard).toEqual([4])
  })

  it("a stream of the wrong type silences its own task only, and is told of once", async () => {
    const adapter = host.adapter()
    const app = open({ adapter }, true)
    const errors: Error[] = []
    app.on("worker:error", (error) => errors.push(error))
    const sick = app.task("sick")
    const well = app.task("well", () => "done")
    const heard: string[] = []
    sick.on("completed", ({ id }) => heard.push(id))
    well.on("completed", ({ id }) => heard.push(id))
    await app.start()
    const redis = raw()
    await redis.set(`${adapter.prefix}:taskora:{sick}:events`, "text")
    const id = await well.dispatch(1)
    await until(() => heard.includes(id), "the healthy task's event arrives")
    redis.disconnect()
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining("WRONGTYPE")])
  })

  it("a wake key of the wrong type does not keep other tasks waiting", async () => {
    const adapter = host.adapter()
    const app = open({ adapter }, true)
    app.on("worker:error", () => {})
    app.task("sick", () => "sick")
    const well = app.task<number, string>("well", () => "done")
    await app.start()
    const redis = raw()
    await redis.set(`${adapter.prefix}:taskora:{sick}:wake`, "text")
    redis.disconnect()
    expect(await well.dispatch(1).waitFor("10s")).toBe("done")
  })

  it("asking after close() is refused with CLOSED", async () => {
    const app = open({ adapter: host.adapter() })
    const task = app.task<number, number>("work", (n) => n)
    await app.start()
    const handle = task.dispatch(1)
    await handle.result
    await app.close()
    await expect(handle.getJob()).rejects.toMatchObject({ code: "CLOSED" })
    await expect(task.dispatch(2).result).rejects.toMatchObject({ code: "CLOSED" })
  })

  it("a waiter for a job that was trimmed with its events is told that it is gone", async () => {
    const adapter = host.adapter()
    const app = open({ adapter, retention: { completed: { maxItems: 0 } } })
    const task = app.task<number, number>("work", (n) => n)
    await app.start()
    const handle = task.dispatch(1)
    await handle
    await until(async () => (await handle.getJob()) === undefined, "the record is gone")
    const redis = raw()
    await redis.del(`${adapter.prefix}:taskora:{work}:events`)
    redis.disconnect()
    await expect(handle.result).rejects.toBeInstanceOf(JobGoneError)
  })
})
