import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { hearTask } from "../../support/hearing.ts"
import { onBothHosts, testApps } from "../../support/hosts.ts"

function deep(levels: number): unknown {
  let value: unknown = 1
  for (let i = 0; i < levels; i++) value = [value]
  return value
}

/** How deep lists lie in one another; comparing them level by level would need as much stack. */
function depth(value: unknown): number {
  let levels = 0
  for (let one = value; Array.isArray(one); one = one[0]) levels++
  return levels
}

const text = "é😀x".repeat(1_500_000)

const carried: [what: string, make: () => unknown, arrives: unknown][] = [
  ["NaN", () => Number.NaN, null],
  ["Infinity", () => Number.POSITIVE_INFINITY, null],
  ["-0", () => -0, 0],
  ["a Map", () => new Map([[1, 2]]), {}],
  ["a Set", () => new Set([1]), {}],
  ["a Buffer", () => Buffer.from("a"), { type: "Buffer", data: [97] }],
  ["a Date that is none", () => new Date(Number.NaN), null],
  ["a toJSON of its own", () => ({ toJSON: () => "its own" }), "its own"],
  [
    "keys of prototypes",
    () => ({ constructor: 1, hasOwnProperty: 2 }),
    { constructor: 1, hasOwnProperty: 2 },
  ],
  ["keys of all sorts", () => ({ "": 1, "a\0\n": 2, "\ud800": 3 }), { "": 1, "a\0\n": 2, "\ud800": 3 }],
]

const refused: [what: string, make: () => unknown, says: string][] = [
  ["BigInt, deep inside", () => ({ a: [{ b: 1n }] }), "BigInt"],
  [
    "a throwing toJSON",
    () => ({
      toJSON() {
        throw new Error("toJSON threw")
      },
    }),
    "toJSON threw",
  ],
  ["a throwing toJSON that throws null", () => ({ toJSON: () => fail() }), "null"],
  [
    "a revoked proxy",
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return { proxy }
    },
    "revoked",
  ],
]

onBothHosts("abuse by what is carried", (host) => {
  const open = testApps()
  const app = (payloadBytes = 32 * 1024 * 1024) => open({ adapter: host.adapter(), limits: { payloadBytes } })

  beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}))
  afterEach(() => void vi.restoreAllMocks())

  it("what JSON carries otherwise arrives so, as data and as a result", async () => {
    const taskora = app()
    const task = taskora.task<unknown, unknown>("carried", async (data) => ({ data }))
    const back = taskora.task<number, unknown>("returned", async (i) => carried[i]![1]())
    await taskora.start()
    for (const [i, [what, make, arrives]] of carried.entries()) {
      expect(await task.dispatch(make()).result, `${what} as data`).toStrictEqual({ data: arrives })
      expect(await back.dispatch(i).result, `${what} as a result`).toStrictEqual(arrives)
    }
  })

  it("what it cannot carry is refused at the dispatch, and fails the job as a result", async () => {
    const taskora = app()
    const task = taskora.task<number, unknown>("refused", async (i) => refused[i]?.[1]() ?? "well")
    await taskora.start()
    for (const [i, [what, make, says]] of refused.entries()) {
      const data = make()
      await expect(task.dispatch(data as number), `${what} as data`).rejects.toMatchObject({
        code: "SERIALIZATION",
        message: expect.stringContaining(says),
      })
      await expect(task.dispatch(i).result, `${what} as a result`).rejects.toMatchObject({
        code: "JOB_FAILED",
        message: expect.stringContaining(says),
      })
    }
    expect(await task.dispatch(refused.length).result).toBe("well")
  })

  it("10 MB travel whole where the limit lets them, as data, as a result and to listeners", async () => {
    const taskora = app()
    const task = taskora.task<string, string>("large", async (data) => data)
    const heard = hearTask(task)
    await taskora.start()
    expect(Buffer.byteLength(text)).toBeGreaterThan(10_000_000)
    const result = await task.dispatch(text).result
    expect(result === text).toBe(true)
    await heard.until("completed")
    expect(heard.of("completed")[0]!.result === text).toBe(true)
  }, 60_000)

  it("10 MB beyond the limit are refused as data, and fail the job as a result", async () => {
    const taskora = app(1_048_576)
    const task = taskora.task<string, string>("too-large", async (data) => (data === "large" ? text : data))
    await taskora.start()
    await expect(task.dispatch(text)).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE", limit: 1_048_576 })
    await expect(task.dispatch("large").result).rejects.toThrow("limits.payloadBytes")
    expect(await task.dispatch("small").result).toBe("small")
  })

  it("depth 10,000 is carried or refused, as data and as a result, and the next job runs", async () => {
    const taskora = app()
    const task = taskora.task<unknown, unknown>("deep", async (data) =>
      data === "deep" ? deep(10_000) : depth(data),
    )
    await taskora.start()
    for (const data of [deep(10_000), "deep"]) {
      const told = await task.dispatch(data).result.catch((error: unknown) => error)
      if (told instanceof Error)
        expect(told.message).toMatch(/could not be serialized|could not be read|stack/i)
      else expect(data === "deep" ? depth(told) : told).toBe(10_000)
    }
    expect(await task.dispatch([[1]]).result).toBe(2)
  })
})

function fail(): never {
  throw null
}
