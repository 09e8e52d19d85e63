import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type AppOptions, createTaskora, type TaskOptions, TaskoraError } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

/** An object whose property throws when it is read. */
function trap(name: string, base: object = {}): object {
  return Object.defineProperty(base, name, {
    enumerable: true,
    get() {
      throw new Error(`the getter of ${name} threw`)
    },
  })
}

function cycle(): object {
  const self: Record<string, unknown> = {}
  self.self = self
  return self
}

function deep(levels: number): unknown {
  let value: unknown = 1
  for (let i = 0; i < levels; i++) value = [value]
  return value
}

onBothHosts("bad input", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })

  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  describe("results", () => {
    const results: [what: string, make: () => unknown, error: string | undefined, told?: unknown][] = [
      ["10n", () => 10n, "BigInt"],
      ["a cycle", cycle, "circular"],
      ["undefined", () => undefined, undefined, undefined],
      ["a function", () => () => 1, "a function cannot be carried"],
      ["a symbol", () => Symbol("s"), "a symbol cannot be carried"],
      ["NaN", () => Number.NaN, undefined, null],
      ["Infinity", () => Number.POSITIVE_INFINITY, undefined, null],
      ["-0", () => -0, undefined, 0],
      ["a date", () => new Date(0), undefined, "1970-01-01T00:00:00.000Z"],
      ["a map", () => new Map([[1, 2]]), undefined, {}],
      ["a throwing getter", () => trap("a"), "the getter of a threw"],
      [
        "a throwing toJSON",
        () => ({
          toJSON() {
            throw new Error("toJSON threw")
          },
        }),
        "toJSON threw",
      ],
      ["toJSON that gives undefined", () => ({ toJSON: () => undefined }), "no text"],
      ["more than the limit", () => "x".repeat(2_000_000), "limits.payloadBytes"],
      [
        "__proto__",
        () => JSON.parse('{"__proto__":{"a":1}}'),
        undefined,
        JSON.parse('{"__proto__":{"a":1}}'),
      ],
      ["a lone surrogate, NUL and emoji", () => "\ud800 \0 😀", undefined, "\ud800 \0 😀"],
      ["text with a newline and a tab", () => "a\n\tb\r", undefined, "a\n\tb\r"],
      ["a null prototype", () => Object.assign(Object.create(null), { a: 1 }), undefined, { a: 1 }],
      ["a thenable that throws", () => trap("then"), "the getter of then threw"],
    ]

    it("each a clear failed event, or carried as JSON carries it; the process and the worker live", async () => {
      const taskora = app()
      const task = taskora.task<number, unknown>("results", async (i) => results[i]![1]())
      const heard = hearTask(task)
      await taskora.start()
      const handles = results.map((_, i) => task.dispatch(i))
      await Promise.all(handles)
      await until(
        () => heard.of("completed").length + heard.of("failed").length === results.length,
        "all ended",
      )
      for (const [i, [what, , error, told]] of results.entries()) {
        const { id } = handles[i]!
        if (error === undefined) {
          expect(heard.of("completed").find((payload) => payload.id === id)?.result, what).toEqual(told)
          expect(await handles[i]!.result, what).toEqual(told)
        } else {
          expect(heard.of("failed").find((payload) => payload.id === id)?.error, what).toContain(error)
          await expect(handles[i]!.result, what).rejects.toMatchObject({ code: "JOB_FAILED" })
        }
      }
    })
  })

  describe("throws", () => {
    class Sealed extends Error {
      override readonly name = "Sealed"
    }
    const throws: [what: string, make: () => unknown, message: string | RegExp][] = [
      ["null", () => null, "thrown value: null"],
      ["undefined", () => undefined, "thrown value: undefined"],
      ["a symbol", () => Symbol("why"), "thrown value: Symbol(why)"],
      ["text", () => "just text", "thrown value: just text"],
      ["a number", () => 42, "thrown value: 42"],
      ["10n", () => 10n, "thrown value: 10"],
      ["a null-prototype object", () => Object.create(null), "thrown value: {}"],
      ["a function", () => () => 1, /^thrown value: /],
      ["a frozen error", () => Object.freeze(new Sealed("frozen")), "frozen"],
      ["a throwing message getter", () => trap("message", new Error("hidden")), ""],
      ["a throwing stack getter", () => trap("stack", new Error("seen")), "seen"],
      ["a throwing name getter", () => trap("name", new Error("named")), "named"],
      ["a throwing delayMs getter", () => trap("delayMs", new Error("delayed")), "delayed"],
      ["a delayMs of the user's own", () => Object.assign(new Error("own"), { delayMs: "soon" }), "own"],
      [
        "an object that throws at everything",
        () => new Proxy({}, { get: () => fail(), has: () => fail() }),
        /./,
      ],
      ["a proxy without prototype", () => new Proxy({}, { getPrototypeOf: () => fail() }), /./],
      ["a circular cause", () => circular(), "round"],
      ["a message of 1 MB", () => new Error("m".repeat(1_000_000)), /^m{1000,}… \(cut\)$/],
      ["lone surrogates and control characters", () => new Error("\ud800 \0\n\t"), "\ufffd \0\n\t"],
      ["a throwing Error subclass", () => new (class extends Error {})("anonymous"), "anonymous"],
    ]

    it.each([1, 2])(
      "with %i attempts, each a clear failed event; the process and the worker live",
      async (attempts) => {
        const taskora = app()
        const task = taskora.task<number, unknown>("throws", {
          handler: async (i) => {
            throw throws[i]![1]()
          },
          retry: { attempts, delay: 0 },
        })
        const heard = hearTask(task)
        await taskora.start()
        const handles = throws.map((_, i) => task.dispatch(i))
        await Promise.all(handles)
        await until(
          () => heard.of("failed").filter((e) => !e.willRetry).length === throws.length,
          "all failed",
        )
        for (const [i, [what, , message]] of throws.entries()) {
          const failures = heard.of("failed").filter((payload) => payload.id === handles[i]!.id)
          expect(
            failures.map(({ attempt }) => attempt),
            what,
          ).toEqual(Array.from({ length: attempts }, (_, n) => n + 1))
          for (const { error } of failures) {
            if (typeof message === "string") expect(error, what).toBe(message)
            else expect(error, what).toMatch(message)
            expect(Buffer.byteLength(error), what).toBeLessThanOrEqual(4096)
          }
          const error = (await handles[i]!.result.catch((reason) => reason)) as Error
          expect(error, what).toMatchObject({ code: "JOB_FAILED" })
          expect(error.cause, what).toBeInstanceOf(Error)
        }
      },
    )

    it("the error of a job keeps its name, message and stack for whoever asks", async () => {
      const taskora = app()
      const task = taskora.task("sealed", async () => {
        throw new Sealed("as it was")
      })
      await taskora.start()
      const handle = task.dispatch({})
      const error = (await handle.result.catch((reason) => reason)) as { cause: Error }
      expect(error.cause).toMatchObject({ name: "Sealed", message: "as it was" })
      expect(error.cause.stack).toContain("bad-input.test.ts")
      expect((await handle.getJob())?.error).toMatchObject({ name: "Sealed", message: "as it was" })
    })
  })

  describe("payloads", () => {
    it("what JSON cannot carry, a top-level function or symbol, or more than the limit: rejected, and nothing is stored", async () => {
      const taskora = app()
      const task = taskora.task<unknown, unknown>("payloads")
      for (const [data, code, text] of [
        [10n, "SERIALIZATION", "BigInt"],
        [cycle(), "SERIALIZATION", "circular"],
        [() => 1, "SERIALIZATION", "function"],
        [Symbol("s"), "SERIALIZATION", "symbol"],
        [trap("a"), "SERIALIZATION", "the getter of a threw"],
        [deep(100_000), "SERIALIZATION", "could not be serialized"],
        ["x".repeat(1_048_576), "PAYLOAD_TOO_LARGE", "1048578"],
        ["é".repeat(600_000), "PAYLOAD_TOO_LARGE", "1200002"],
      ] as const) {
        const error = await task.dispatch(data).then(
          () => new Error("stored"),
          (reason) => reason as Error,
        )
        expect(error).toMatchObject({ code, message: expect.stringContaining('task "payloads"') })
        expect(error.message).toContain(text)
      }
      const stats = await taskora.inspect().stats()
      expect(stats.transitions.dispatched).toBe(0)
      expect(stats.waiting).toBe(0)
    })

    it("the rest arrives as JSON carries it", async () => {
      const taskora = app()
      const task = taskora.task<unknown, unknown>("echo", async (data) => ({ data }))
      await taskora.start()
      for (const [data, arrives] of [
        [undefined, undefined],
        [null, null],
        ["", ""],
        ["~tilde", "~tilde"],
        ["\n\t\0", "\n\t\0"],
        ["\ud800", "\ud800"],
        ["😀", "😀"],
        [
          [undefined, () => 1, Number.NaN],
          [null, null, null],
        ],
        [{ a: undefined }, {}],
        [new Date(0), "1970-01-01T00:00:00.000Z"],
        [JSON.parse('{"__proto__":1}'), JSON.parse('{"__proto__":1}')],
        [Buffer.from("a"), { type: "Buffer", data: [97] }],
        [deep(1000), deep(1000)],
        ["x".repeat(1_048_574), "x".repeat(1_048_574)],
      ]) {
        const returned = await task.dispatch(data).result.catch((error) => error)
        if (typeof data === "string" && data.length > 1_000_000)
          expect(returned).toMatchObject({ code: "JOB_FAILED" })
        else expect(returned).toEqual({ data: arrives })
      }
    })

    it("the limit is configurable, in bytes", async () => {
      const taskora = app({ limits: { payloadBytes: 10 } })
      const task = taskora.task<string, string>("small", async () => "12345678")
      await taskora.start()
      expect(await task.dispatch("12345678").result).toBe("12345678")
      await expect(task.dispatch("123456789")).rejects.toMatchObject({
        code: "PAYLOAD_TOO_LARGE",
        bytes: 11,
        limit: 10,
      })
    })
  })

  describe("options, refused at the call", () => {
    const refused = (run: () => unknown) => {
      try {
        run()
      } catch (error) {
        expect(error).toBeInstanceOf(TaskoraError)
        expect(error).toHaveProperty("code", "INVALID")
        return (error as Error).message
      }
      return "accepted"
    }
    const bare = Object.create(null)

    it("of a dispatch", () => {
      const task = app().task<unknown, unknown>("options")
      for (const delay of [
        -1,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        "5",
        "",
        "5 s",
        "-5s",
        null,
        {},
        "1w",
        1e15,
      ])
        expect(refused(() => task.dispatch(1, { delay: delay as never }))).toContain("delay")
      for (const priority of [Number.NaN, Number.POSITIVE_INFINITY, 1e9, 2 ** 21 + 1, -1, 1.5, "5", null])
        expect(refused(() => task.dispatch(1, { priority: priority as never }))).toContain("priority")
      for (const jobId of ["", "a".repeat(129), "é".repeat(65), "a\nb", "a\0b", "\ud800", 5, null, {}])
        expect(refused(() => task.dispatch(1, { jobId: jobId as never }))).toContain("job id")
      expect(refused(() => task.dispatch(1, { dealy: 5 } as never))).toContain('did you mean "delay"?')
      for (const options of [null, 5, "text", []])
        expect(refused(() => task.dispatch(1, options as never))).toContain("must be an object")
      expect(refused(() => task.dispatchMany("text" as never))).toContain("list")
      expect(refused(() => task.dispatchMany([{ data: 1, option: {} } as never]))).toContain('"options"')
      expect(refused(() => task.dispatchMany([null as never]))).toContain("must be an object")
      expect(refused(() => task.dispatchMany([{ data: 1 }, { data: 2, options: { delay: -1 } }]))).toContain(
        "delay",
      )
    })

    it("of a task", () => {
      const taskora = app()
      let made = 0
      const task = (options: unknown) =>
        refused(() => taskora.task(`options-${++made}`, options as TaskOptions))
      for (const attempts of [0, -1, 1.5, Number.NaN, "3"])
        expect(task({ retry: { attempts } })).toContain("retry.attempts")
      for (const concurrency of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "5"])
        expect(task({ concurrency })).toContain("concurrency")
      for (const timeout of [-1, Number.NaN, Number.POSITIVE_INFINITY, "5"])
        expect(task({ timeout })).toContain("timeout")
      for (const interval of [0, -1, Number.NaN, "x"])
        expect(task({ stall: { interval } })).toContain("stall.interval")
      for (const maxCount of [-1, 1.5, "1"]) expect(task({ stall: { maxCount } })).toContain("stall.maxCount")
      expect(task({ retry: { backoff: "cubic" } })).toContain("backoff")
      expect(task({ retry: { jitter: 5 } })).toContain("jitter")
      for (const item of ["Error", (error: Error) => error.message === "", null, {}])
        expect(task({ retry: { retryOn: [item] } })).toContain("retryOn must be a list of error classes")
      expect(task({ retry: { attemps: 5 } })).toContain('did you mean "attempts"?')
      expect(task({ concurency: 5 })).toContain('did you mean "concurrency"?')
      expect(task({ handler: 5 })).toContain("handler")
      expect(task({ onCancel: 5 })).toContain("onCancel")
      expect(task({ middleware: () => {} })).toContain("middleware")
      expect(task({ retention: { completed: { maxItems: -1 } } })).toContain("maxItems")
      expect(task({ retention: { completd: {} } })).toContain('did you mean "completed"?')
      expect(task(Object.assign(bare, { timeuot: 1 }))).toContain('did you mean "timeout"?')
      expect(taskora.task("options", { timeout: 2 ** 31 }).name).toBe("options")
      expect(refused(() => taskora.task("options"))).toContain("declared already")
    })

    it("of an app, of close() and of use()", async () => {
      const adapter = host.adapter()
      const make = (options: unknown) => refused(() => createTaskora(options as AppOptions))
      expect(make(undefined)).toContain("must be an object")
      expect(make({})).toContain("adapter is required")
      expect(make({ adapter, observer: [] })).toContain('did you mean "observers"?')
      expect(make({ adapter, observers: {} })).toContain("observers")
      expect(make({ adapter, serializer: {} })).toContain("serializer")
      expect(make({ adapter, events: { maxLength: 0 } })).toContain("events.maxLength")
      expect(make({ adapter, events: { inlineBytes: -1 } })).toContain("events.inlineBytes")
      expect(make({ adapter, limits: { payloadBytes: 0 } })).toContain("limits.payloadBytes")
      expect(make({ adapter, retention: { completed: { maxAge: "1 h" } } })).toContain("maxAge")
      expect(make({ adapter, defaults: { retries: 5 } })).toContain('did you mean "retry"?')
      const taskora = app()
      expect(refused(() => taskora.close({ timeout: "soon" as never }))).toContain("timeout")
      expect(refused(() => taskora.close({ timeOut: 5 } as never))).toContain('did you mean "timeout"?')
      expect(refused(() => taskora.use(5 as never))).toContain("middleware")
    })

    it("names of tasks", () => {
      const taskora = app()
      for (const name of [
        "",
        "a".repeat(201),
        "a".repeat(100_000),
        "{a}",
        "a*",
        "a?",
        "[a]",
        "a\\b",
        "a b",
        "a\nb",
        "a\0",
        "א",
        "😀",
        5,
        undefined,
        null,
        {},
      ])
        expect(refused(() => taskora.task(name as string)).length).toBeLessThan(300)
      for (const name of ["", "{a}", "a\nb", "😀"])
        expect(refused(() => taskora.task(name))).toContain("task name")
      for (const name of ["a", "A-Z_0.9:/", "__proto__", "constructor", "a".repeat(200)])
        expect(taskora.task(name).name).toBe(name)
    })

    it.each([
      [{ concurrency: 0 }, "concurrency must be a whole number"],
      [{ timeout: "soon" }, "timeout"],
      [{ retry: { attempts: 0 } }, "retry.attempts"],
      [{ retry: { attemps: 5 } }, 'did you mean "attempts"?'],
      [{ stall: { interval: 1 } }, "stall.interval"],
      [{ stall: 5 }, "stall must be an object"],
    ])("defaults of the app, where the app is made: %j", (defaults, message) => {
      const refusal = refused(() => app({ defaults: defaults as never }))
      expect(refusal).toContain("createTaskora: defaults: ")
      expect(refusal).toContain(message)
    })
  })
})

function fail(): never {
  throw new Error("the trap threw")
}

function circular(): Error {
  const error: Error = new Error("round")
  error.cause = error
  return error
}
