import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { AppOptions, TaskOptions } from "../../src/index.ts"
import { claimAndVanish } from "../support/ghost.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

const refuse: TaskOptions<unknown, void> = {
  handler: async function handler() {
    throw new Error("Connection refused")
  },
  retry: { attempts: 3, delay: 1, jitter: false },
}

onBothHosts("default error logging", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })
  let printed: string[]

  beforeEach(() => {
    printed = []
    vi.spyOn(console, "error").mockImplementation((...words: unknown[]) => {
      expect(words).toHaveLength(1)
      printed.push(String(words[0]))
    })
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it("If no failed listener is registered, taskora logs errors to console.error automatically with full stack traces", async () => {
    const taskora = app()
    const task = taskora.task("send-email", refuse)
    await taskora.start()
    const id = await task.dispatch({})
    await until(() => printed.length === 3, "three attempts were printed")
    const heads = printed.map((text) => text.split("\n")[0])
    expect(heads).toEqual([
      `[taskora] task "send-email" job ${id} failed (attempt 1/3, will retry)`,
      `[taskora] task "send-email" job ${id} failed (attempt 2/3, will retry)`,
      `[taskora] task "send-email" job ${id} failed (attempt 3/3)`,
    ])
    for (const text of printed) {
      const [, message, frame] = text.split("\n")
      expect(message).toBe("Error: Connection refused")
      expect(frame).toMatch(/^ {4}at .*handler .*error-log\.test\.ts:\d+:\d+/)
      expect(text).not.toContain("trace_id")
    }
  })

  it("a task without retry is logged as (attempt 1)", async () => {
    const taskora = app()
    const task = taskora.task("once", refuse.handler!)
    await taskora.start()
    const id = await task.dispatch({})
    await until(() => printed.length === 1, "the attempt was printed")
    expect(printed[0]).toMatch(
      new RegExp(`^\\[taskora\\] task "once" job ${id} failed \\(attempt 1\\)\nError: Connection refused\n`),
    )
  })

  it.each([
    ["per-task", "task"],
    ["app-level", "app"],
  ])(
    "The default logger is suppressed as soon as you register any failed listener — %s — and comes back as it goes",
    async (_, level) => {
      const taskora = app()
      const task = taskora.task("send-email", { ...refuse, retry: { attempts: 1 } })
      await taskora.start()
      const { result: first } = task.dispatch({})
      await expect(first).rejects.toThrow("Connection refused")
      await until(() => printed.length === 1, "printed before there is a listener")

      const heard: string[] = []
      const listen = () =>
        level === "task"
          ? task.on("failed", ({ id }) => heard.push(id))
          : taskora.on("task:failed", ({ id }) => heard.push(id))
      const stopOne = listen()
      const stopOther = listen()
      await task.dispatch({})
      await until(() => heard.length === 2, "both heard it")
      stopOne()
      await task.dispatch({})
      await until(() => heard.length === 3, "the other heard it")
      await new Promise((resolve) => setImmediate(resolve))
      expect(printed).toHaveLength(1)

      stopOther()
      stopOther()
      await task.dispatch({})
      await until(() => printed.length === 2, "printed after the last listener went")
      expect(heard).toHaveLength(3)
      listen()
      await task.dispatch({})
      await until(() => heard.length === 4, "heard again")
      expect(printed).toHaveLength(2)
    },
  )

  it("a failed listener on one task covers that task alone; other listeners cover none", async () => {
    const taskora = app()
    const covered = taskora.task("covered", { ...refuse, retry: { attempts: 1 } })
    const bare = taskora.task("bare", { ...refuse, retry: { attempts: 1 } })
    const heard: string[] = []
    covered.on("failed", ({ id }) => heard.push(id))
    bare.on("completed", () => {})
    bare.on("retrying", () => {})
    taskora.on("task:completed", () => {})
    await taskora.start()
    await covered.dispatch({})
    const id = await bare.dispatch({})
    await until(() => heard.length === 1 && printed.length === 1, "one was heard and one printed")
    expect(printed[0]).toContain(`task "bare" job ${id} failed (attempt 1/1)`)
  })

  it("This prevents errors from being silently swallowed: a job that stalled too often is printed by who recovered it", async () => {
    const adapter = host.adapter()
    const taskora = openApp({ adapter })
    const task = taskora.task("send-email", { ...refuse, stall: { interval: 1000, maxCount: 0 } })
    const id = await task.dispatch({})
    await claimAndVanish(adapter, task.name)
    await taskora.start()
    await until(() => printed.length === 1, "the stall was printed")
    expect(printed[0]).toMatch(
      new RegExp(`^\\[taskora\\] task "send-email" job ${id} failed \\(attempt 1/3\\)\nStalledError: `),
    )
  })

  it("a failed attempt is printed on the worker that ran it, not on others that listen", async () => {
    const adapter = host.adapter()
    const worker = openApp({ adapter })
    const other = openApp({ adapter: host.sibling(adapter) })
    worker.task("send-email", { ...refuse, retry: { attempts: 1 } })
    const elsewhere = other.task("send-email")
    const heard: string[] = []
    elsewhere.on("failed", ({ id }) => heard.push(id))
    await Promise.all([other.start(), worker.start()])
    await elsewhere.dispatch({})
    await until(() => heard.length === 1 && printed.length === 1, "heard there and printed here")
  })

  it("messages and stacks are cut at 16 KiB", async () => {
    const taskora = app()
    const task = taskora.task("long", async () => {
      throw new Error("é".repeat(1_000_000))
    })
    await taskora.start()
    await task.dispatch({})
    await until(() => printed.length === 1, "the attempt was printed")
    expect(Buffer.byteLength(printed[0]!)).toBeLessThan(16_384 + 200)
    expect(Buffer.byteLength(printed[0]!)).toBeGreaterThan(16_000)
    expect(printed[0]).not.toContain("\ufffd")
  })

  it("ctx.retry is printed with its reason and no stack of ours", async () => {
    const taskora = app()
    const task = taskora.task("again", {
      handler: async (_, ctx) => {
        if (ctx.attempt === 1) throw ctx.retry({ delay: 0, reason: "not yet" })
      },
      retry: { attempts: 2 },
    })
    await taskora.start()
    const { id, result } = task.dispatch({})
    await result
    expect(printed).toEqual([
      `[taskora] task "again" job ${id} failed (attempt 1/2, will retry)\nRetryError: not yet`,
    ])
  })
})
