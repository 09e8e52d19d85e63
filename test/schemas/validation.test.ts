import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { z } from "zod"
import {
  type AppOptions,
  JobFailedError,
  type Observer,
  type Schema,
  type Transition,
  ValidationError,
} from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { libraries, slowSchema } from "./libraries.ts"

onBothHosts("schemas", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>, expectErrors = false) =>
    openApp({ adapter: host.adapter(), ...options }, expectErrors)

  // What fails on purpose is printed nowhere.
  beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}))
  afterEach(() => void vi.restoreAllMocks())

  it.each(libraries)("input / output of any Standard Schema library: $name", async ({ input, output }) => {
    const taskora = app()
    const got: unknown[] = []
    const task = taskora.task("mail", {
      input,
      output,
      handler: (data) => {
        got.push(data)
        return data.copies
      },
    })
    const heard = hearTask(task)
    await taskora.start()
    const handle = task.dispatch({ to: "  ann " })
    expect(await handle.result).toBe("1")
    expect(got).toEqual([{ to: "ann", copies: 1 }])
    await heard.until("completed")
    expect(heard.of("completed")[0]).toMatchObject({ result: "1" })
    // What lies in the store is what was dispatched.
    expect((await handle.getJob())?.data).toEqual({ to: "  ann " })

    const wrong = task.dispatch({ to: 5 } as never)
    const error = await wrong.then(
      () => undefined,
      (thrown: unknown) => thrown as ValidationError,
    )
    expect(error).toBeInstanceOf(ValidationError)
    expect(error).toMatchObject({ code: "VALIDATION", message: expect.stringContaining('task "mail"') })
    expect(error?.issues).toHaveLength(1)
    expect(JSON.stringify(error?.issues[0]?.path)).toContain("to")
    expect(await taskora.inspect().stats()).toMatchObject({ waiting: 0, completed: 1, failed: 0 })
  })

  it("validated at dispatch: nothing is stored, the job is rejected and counted as such", async () => {
    const told: Transition[] = []
    const observer: Observer = { name: "ears", transition: (transition) => void told.push(transition) }
    const taskora = app({ observers: [observer] })
    const task = taskora.task("strict", { input: z.number() })
    const handles = task.dispatchMany([{ data: 1 }, { data: "two" as never }, { data: 3 }])
    const settled = await Promise.allSettled(handles)
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"])
    await until(() => told.some(({ kind }) => kind === "rejected"), "it was told")
    expect(told.filter(({ kind }) => kind === "rejected")).toMatchObject([{ count: 1, reason: "validation" }])
    expect(await taskora.inspect().stats()).toMatchObject({ waiting: 2 })
  })

  it("a refused job rejects its result too, and one that nobody awaits goes to worker:error", async () => {
    const taskora = app({}, true)
    const task = taskora.task("strict", { input: z.number() })
    await expect(task.dispatch("a" as never).result).rejects.toBeInstanceOf(ValidationError)
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    task.dispatch("b" as never)
    await until(() => errors.length === 1, "the error was told")
    expect(errors[0]).toBeInstanceOf(ValidationError)
  })

  it.each([
    ["validateOnDispatch: false", { validateOnDispatch: false }, {}],
    ["skipValidation", {}, { skipValidation: true }],
  ])(
    "%s stores data unseen; it is always validated before the handler, and not retried",
    async (_, options, dispatch) => {
      const taskora = app(options)
      let ran = 0
      const task = taskora.task("strict", {
        input: z.object({ n: z.number() }),
        handler: () => void ran++,
        retry: { attempts: 3, delay: 1 },
      })
      const heard = hearTask(task)
      await taskora.start()
      const handle = task.dispatch({ n: "five" } as never, dispatch)
      const error = await handle.result.catch((thrown: unknown) => thrown as JobFailedError)
      expect(error).toBeInstanceOf(JobFailedError)
      expect(error).toMatchObject({
        cause: { name: "ValidationError", message: expect.stringContaining("n: ") },
      })
      await heard.until("failed")
      expect(heard.of("failed")).toMatchObject([{ attempt: 1, willRetry: false }])
      expect(ran).toBe(0)
    },
  )

  it("is retried where retryOn names ValidationError", async () => {
    const taskora = app()
    const task = taskora.task("again", {
      input: z.number(),
      handler: () => 1,
      retry: { attempts: 2, delay: 0, retryOn: [ValidationError] },
    })
    const heard = hearTask(task)
    await taskora.start()
    await expect(task.dispatch("a" as never, { skipValidation: true }).result).rejects.toThrow()
    await heard.until("failed", 2)
    expect(heard.of("failed").map(({ willRetry }) => willRetry)).toEqual([true, false])
  })

  it("output is validated after the handler: a result that does not match fails the job, unretried", async () => {
    const taskora = app()
    let ran = 0
    const task = taskora.task("result", {
      output: z.object({ ok: z.boolean() }),
      handler: () => {
        ran++
        return { ok: "yes" } as never
      },
      retry: { attempts: 3, delay: 1 },
    })
    await taskora.start()
    const error = await task.dispatch(1).result.catch((thrown: unknown) => thrown as JobFailedError)
    expect(error).toMatchObject({
      cause: { name: "ValidationError", message: expect.stringContaining("result of job") },
    })
    expect(ran).toBe(1)
  })

  it("middleware stands between: it sees validated data, and what it leaves as the result is validated", async () => {
    const taskora = app()
    const seen: unknown[] = []
    const task = taskora.task("around", {
      input: z.string().transform(Number),
      output: z.number().transform((n) => n * 10),
      middleware: [
        async (ctx, next) => {
          seen.push(ctx.data)
          await next()
          seen.push(ctx.result)
          ctx.result = 7
        },
      ],
      handler: (data) => data,
    })
    await taskora.start()
    expect(await task.dispatch("5").result).toBe(70)
    expect(seen).toEqual([5, 5])
  })

  it("onCancel gets the data that the handler got", async () => {
    const taskora = app()
    const got: unknown[] = []
    const task = taskora.task("cancelled", {
      input: z.string().transform(Number),
      handler: (data, ctx) => {
        got.push(data)
        return new Promise((_, reject) =>
          ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)),
        )
      },
      onCancel: (data) => void got.push(data),
    })
    await taskora.start()
    const handle = task.dispatch("5")
    await until(() => got.length === 1, "it runs")
    await handle.cancel()
    await until(() => got.length === 2, "it was cleaned up")
    expect(got).toEqual([5, 5])
  })

  it("a schema that throws is a rejected dispatch, with the cause", async () => {
    const broken: Schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate() {
          throw new Error("no connection to the list of names")
        },
      },
    }
    const task = app().task("broken", { input: broken })
    const error = await task.dispatch(1).then(undefined, (thrown: unknown) => thrown as Error)
    expect(error).toMatchObject({
      name: "ValidationError",
      cause: { message: "no connection to the list of names" },
    })
  })

  it("an async schema: dispatch is synchronous, the job is sent when it has answered, in order", async () => {
    const taskora = app()
    const schema = slowSchema()
    const task = taskora.task("slow", { input: schema })
    const first = task.dispatch("first")
    expect(first.id).toMatch(/^[a-z0-9]{16}$/)
    const bad = task.dispatch("bad")
    const skipped = task.dispatch("skipped", { skipValidation: true })
    expect(schema.asked).toEqual(["first", "bad"])
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await taskora.inspect().stats()).toMatchObject({ waiting: 0 })
    schema.answer()
    expect(await Promise.allSettled([first, bad, skipped])).toMatchObject([
      { status: "fulfilled" },
      { reason: { issues: [{ message: "bad is not good" }] } },
      { status: "fulfilled" },
    ])
    const waiting = await taskora.inspect().waiting({ task: "slow" })
    expect(waiting.map(({ data }) => data)).toEqual(["first", "skipped"])
  })

  it("data changed while an async schema thinks is stored as it was dispatched", async () => {
    const schema = slowSchema()
    const task = app().task("slow", { input: schema })
    const data = { n: 1 }
    const handle = task.dispatch(data)
    data.n = 2
    schema.answer()
    await handle
    expect((await handle.getJob())?.data).toEqual({ n: 1 })
  })

  it("close() waits for dispatches whose validation is under way", async () => {
    const adapter = host.adapter()
    const taskora = openApp({ adapter })
    const schema = slowSchema()
    const handle = taskora.task("slow", { input: schema }).dispatch("last")
    await taskora.listen()
    const closed = taskora.close()
    setTimeout(() => schema.answer(), 50)
    await closed
    expect(handle.enqueued).toBe(true)
  })

  it("async schemas before and after the handler", async () => {
    const taskora = app()
    const task = taskora.task("later", {
      input: z.number().refine(async (n) => n > 0),
      output: z.number().transform(async (n) => `${n}`),
      handler: (n) => n + 1,
    })
    await taskora.start()
    expect(await task.dispatch(1).result).toBe("2")
    await expect(task.dispatch(-1)).rejects.toBeInstanceOf(ValidationError)
  })

  it("a run cancelled while its data is validated never reaches its handler", async () => {
    const taskora = app({ validateOnDispatch: false })
    const schema = slowSchema()
    let ran = 0
    const task = taskora.task("slow", { input: schema, handler: () => void ran++ })
    await taskora.start()
    const handle = task.dispatch("a")
    await until(() => schema.asked.length === 1, "it is validated")
    expect(await handle.cancel()).toBe("requested")
    await until(async () => (await handle.getState()) === "cancelled", "it was cancelled")
    schema.answer()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(ran).toBe(0)
  })

  it("says in options what is wrong", () => {
    const taskora = app()
    expect(() => taskora.task("a", { input: "text" as never, handler: () => 1 })).toThrow(
      /task "a": input must be a schema .* zod, valibot or arktype, not "text"/,
    )
    expect(() => taskora.task("b", { output: {} as never, handler: () => 1 })).toThrow(
      /output must be a schema/,
    )
    expect(() => app({ validateOnDispatch: "no" as never })).toThrow(
      /validateOnDispatch must be true or false/,
    )
    const task = taskora.task("c")
    expect(() => task.dispatch(1, { skipValidation: 1 as never })).toThrow(
      /skipValidation must be true or false/,
    )
    expect(() => taskora.task("d", { inptu: z.string(), handler: () => 1 } as never)).toThrow(
      /did you mean "input"/,
    )
  })

  it("a message names at most five issues; issues holds all", async () => {
    const task = app().task("many", { input: z.array(z.number()) })
    const error = await task.dispatch(Array(8).fill("x") as never).then(
      () => undefined,
      (thrown: unknown) => thrown as ValidationError,
    )
    expect(error?.issues).toHaveLength(8)
    expect(error?.message).toMatch(/0: .*; 4: .*; and 3 more$/)
  })
})
