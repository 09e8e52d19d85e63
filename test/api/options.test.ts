import { expect, it } from "vitest"
import { type AppOptions, json, type Serializer } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("options", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })

  it("start() is idempotent, and a task declared after it gets its worker at once", async () => {
    const taskora = app()
    await taskora.start()
    await taskora.start()
    const task = taskora.task("late", async () => "worked on")
    expect(await task.dispatch({}).result).toBe("worked on")
  })

  it.each(["before", "during", "after"])("close() is safe %s start()", async (when) => {
    const taskora = app()
    const task = taskora.task("closing", async () => 1)
    if (when === "before") {
      await taskora.close()
      await expect(taskora.start()).rejects.toMatchObject({ code: "CLOSED" })
    } else if (when === "during") {
      const starting = taskora.start().catch((error) => error)
      await taskora.close()
      await starting
    } else {
      await taskora.start()
      await task.dispatch({}).result
      await taskora.close()
    }
    await taskora.close()
  })

  it("a failed start() can be repeated", async () => {
    let broken = true
    const observer = {
      name: "moody",
      open() {
        if (broken) throw new Error("the port is taken")
      },
    }
    const taskora = app({ observers: [observer] })
    const task = taskora.task("again", async () => "started")
    await expect(taskora.start()).rejects.toThrow("the port is taken")
    broken = false
    await taskora.start()
    expect(await task.dispatch({}).result).toBe("started")
  })

  it("concurrency: at most so many at once, one by default; the app's defaults hold for tasks that say nothing", async () => {
    const taskora = app({ defaults: { concurrency: 3, retry: { attempts: 2, delay: 0 }, timeout: "1m" } })
    const most = new Map<string, number>()
    const now = new Map<string, number>()
    const counting = (name: string) => async () => {
      now.set(name, (now.get(name) ?? 0) + 1)
      most.set(name, Math.max(most.get(name) ?? 0, now.get(name)!))
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      now.set(name, now.get(name)! - 1)
    }
    const three = taskora.task("three", counting("three"))
    const one = taskora.task("one", { handler: counting("one"), concurrency: 1 })
    const failing = taskora.task("failing", async () => {
      throw new Error("e")
    })
    const heard = hearTask(failing)
    await taskora.start()
    const jobs = Array.from({ length: 30 }, () => ({ data: 0 }))
    await Promise.all([...three.dispatchMany(jobs), ...one.dispatchMany(jobs)].map((handle) => handle.result))
    expect(most.get("three")).toBe(3)
    expect(most.get("one")).toBe(1)
    await failing.dispatch({})
    await heard.until("failed", 2)
  })

  it("what a task's options leave undefined is the app's to say", async () => {
    const taskora = app({
      defaults: { concurrency: 3, retry: { attempts: 2, delay: 0 }, timeout: "1m", stall: { maxCount: 5 } },
    })
    const unsaid = { concurrency: undefined, retry: undefined, timeout: undefined, stall: undefined } as never
    const partly = { stall: { interval: "9s", maxCount: undefined } } as never
    const shared = { concurrency: 3, retry: { attempts: 2 }, timeoutMs: 60_000, maxStalls: 5 }
    expect(taskora.task("unsaid", unsaid).definition).toMatchObject({ ...shared, leaseMs: 30_000 })
    expect(taskora.task("partly", partly).definition).toMatchObject({ ...shared, leaseMs: 9000 })
  })

  it("retention: maxItems keeps the newest, of completed and of failed jobs apart; a task's own comes first", async () => {
    const taskora = app({ retention: { completed: { maxItems: 3 }, failed: { maxItems: 2 } } })
    taskora.on("task:failed", () => {})
    const task = taskora.task<number, number>("kept", async (n) => {
      if (n < 0) throw new Error("negative")
      return n
    })
    const own = taskora.task<number, number>("own", {
      handler: async (n) => n,
      retention: { completed: { maxItems: 1 } },
    })
    await taskora.start()
    for (let n = 1; n <= 6; n++) {
      await task.dispatch(n).result
      await task.dispatch(-n).result.catch(() => {})
      await own.dispatch(n).result
    }
    const inspector = taskora.inspect()
    const dataOf = (jobs: { data: unknown }[]) => jobs.map(({ data }) => data).sort()
    expect(dataOf(await inspector.completed({ task: "kept" }))).toEqual([4, 5, 6])
    expect(dataOf(await inspector.failed({ task: "kept" }))).toEqual([-5, -6])
    expect(dataOf(await inspector.completed({ task: "own" }))).toEqual([6])
  })

  it("retention: maxAge drops what is older", async () => {
    const taskora = app({ retention: { completed: { maxAge: 1 } } })
    const task = taskora.task("short", {
      handler: async () => 1,
      stall: { interval: 400 },
    })
    await taskora.start()
    const handle = task.dispatch({})
    await handle.result
    await until(async () => (await handle.getState()) === undefined, "the record is gone")
    expect(await taskora.inspect().stats()).toMatchObject({ completed: 0 })
  })

  it("serializer: data, results and progress go through it as it likes, control characters and all", async () => {
    const tagged: Serializer = {
      serialize: (value) => `\n\t\0~${JSON.stringify({ value: String(value) })}`,
      deserialize: (text) => `back ${JSON.parse(text.slice(4)).value}`,
    }
    const taskora = app({ serializer: tagged })
    const task = taskora.task<string, unknown>("tagged", async (data) => `result of ${data}`)
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch("data")
    expect(await handle.result).toBe("back result of back data")
    await heard.until("completed")
    expect(heard.of("completed")[0]!.result).toBe("back result of back data")
    expect(await handle.getJob()).toMatchObject({ data: "back data", result: "back result of back data" })
  })

  it.each([
    ["throws", () => fail()],
    ["gives no text", () => 5 as never],
  ])("a serializer that %s rejects the dispatch", async (_, serialize) => {
    const taskora = app({ serializer: { serialize, deserialize: JSON.parse } })
    await expect(taskora.task("odd").dispatch({})).rejects.toMatchObject({ code: "SERIALIZATION" })
  })

  it("a deserializer that throws fails the job with a clear error, and the worker goes on", async () => {
    const taskora = app({
      serializer: {
        ...json(),
        deserialize: (text) => (text.includes("poison") ? fail() : JSON.parse(text)),
      },
    })
    taskora.on("task:failed", () => {})
    const task = taskora.task<string, string>("poisoned", async (data) => data)
    await taskora.start()
    await expect(task.dispatch("poison").result).rejects.toThrow("could not be read")
    expect(await task.dispatch("fine").result).toBe("fine")
  })

  it("events.inlineBytes and events.maxLength change how events travel, not what listeners get", async () => {
    const taskora = app({ events: { inlineBytes: 0, maxLength: 1000 } })
    const task = taskora.task("apart", async () => ({ some: "result" }))
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({})
    expect(await handle.result).toEqual({ some: "result" })
    await heard.until("completed")
    expect(heard.of("completed")[0]!.result).toEqual({ some: "result" })
  })

  it("tasks of different names never share a job, whatever the names", async () => {
    const taskora = app()
    const names = ["a", "a:job", "a:job:b", "A", "__proto__", "constructor", "a/b", "a.b", "waiting"]
    const tasks = names.map((name) => taskora.task<string, string>(name, async (data) => `${name} ${data}`))
    await taskora.start()
    const results = await Promise.all(
      tasks.flatMap((task) => ["x", "job:x"].map((jobId) => task.dispatch(jobId, { jobId }).result)),
    )
    expect(results).toEqual(names.flatMap((name) => [`${name} x`, `${name} job:x`]))
  })
})

function fail(): never {
  throw new Error("the serializer broke")
}
