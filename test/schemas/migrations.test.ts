import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { z } from "zod"
import { into, type TaskOptions } from "../../src/index.ts"
import { resolveVersions, type VersionOptions } from "../../src/rules/versions.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("migrations", (host) => {
  const openApp = testApps()
  beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}))
  afterEach(() => void vi.restoreAllMocks())

  /** Jobs of version 1 to 3, dispatched by three generations of programs, and run by the newest. */
  async function generations<Data>(newest: TaskOptions<Data, unknown>) {
    const adapter = host.adapter()
    const taskora = openApp({ adapter })
    const task = taskora.task("grown", newest)
    const dispatched = [
      { version: 1, data: { first: "Ann", last: "Lee" } },
      { version: 2, data: { name: "Bob Ray" } },
      { version: 3, data: { name: "Eve Ide", tags: ["x"] } },
    ]
    const handles: string[] = []
    for (const { version, data } of dispatched) {
      const old = openApp({ adapter: host.sibling(adapter) })
      handles.push(await old.task("grown", { version }).dispatch(data))
    }
    await taskora.start()
    const jobs = async () => Promise.all(handles.map((id) => taskora.inspect().find(id)))
    await until(
      async () => (await jobs()).every((job) => job?.state === "completed" || job?.state === "failed"),
      "all ended",
    )
    return { taskora, task, jobs: await jobs() }
  }

  const v2 = z.object({ name: z.string() })
  const v3 = z.object({ name: z.string(), tags: z.array(z.string()).default([]) })

  it("migrate as a record by version: old data is brought up to date step by step before the handler", async () => {
    const { jobs } = await generations({
      version: 3,
      migrate: {
        1: (data: { first: string; last: string }) => ({ name: `${data.first} ${data.last}` }),
        2: async (data: { name: string }) => ({ ...data, tags: [] }),
      },
      handler: (data: unknown) => data,
    })
    expect(jobs.map((job) => job?.result)).toEqual([
      { name: "Ann Lee", tags: [] },
      { name: "Bob Ray", tags: [] },
      { name: "Eve Ide", tags: ["x"] },
    ])
  })

  it("migrate as a tuple of into(schema, fn): version = since + length; validated after migration", async () => {
    const adapter = host.adapter()
    const old = openApp({ adapter })
    const id = await old.task("grown").dispatch({ first: "Ann", last: "Lee" })
    const taskora = openApp({ adapter: host.sibling(adapter) })
    const task = taskora.task("grown", {
      migrate: [
        into(v2, (data: { first: string; last: string }) => ({ name: `${data.first} ${data.last}` })),
        into(v3, (data: z.input<typeof v2>) => data),
      ],
      input: v3,
      handler: (data) => data.tags.length,
    })
    expect(task.definition.version).toBe(3)
    await taskora.start()
    await until(async () => (await taskora.inspect().find(id))?.state === "completed", "it completed")
    expect((await taskora.inspect().find(id))?.result).toBe(0)
    expect(await task.dispatch({ name: "Eve" }).result).toBe(0)
  })

  it("without migrate older data goes to validation as it is", async () => {
    const { jobs } = await generations({ version: 3, handler: (data: unknown) => data })
    expect(jobs.map((job) => job?.result)).toEqual(jobs.map((job) => job?.data))
  })

  it("a job older than since fails with a clear error, unretried", async () => {
    const { jobs } = await generations({
      version: 3,
      since: 2,
      migrate: { 2: (data) => data },
      handler: () => "ran",
      retry: { attempts: 3, delay: 0 },
    })
    expect(jobs.map((job) => job?.state)).toEqual(["failed", "completed", "completed"])
    expect(jobs[0]).toMatchObject({ attempt: 1, error: { name: "ValidationError" } })
    expect(jobs[0]?.error?.message).toMatch(
      /is of version 1, and version 2 is the oldest .* lower since and migrate it/,
    )
  })

  it("data that a migration makes and its schema refuses fails, naming the version", async () => {
    const adapter = host.adapter()
    const handle = await openApp({ adapter }).task("grown").dispatch({ first: 5 })
    const taskora = openApp({ adapter: host.sibling(adapter) })
    taskora.task("grown", {
      migrate: [into(v2, (data: { first: never }) => ({ name: data.first }))],
      input: v2,
      handler: () => 1,
    })
    await taskora.start()
    await until(async () => (await taskora.inspect().find(handle))?.state === "failed", "it failed")
    expect((await taskora.inspect().find(handle))?.error?.message).toMatch(/migrated to version 2, .*name: /)
  })

  it("what a migration throws is retried like what a handler throws", async () => {
    const adapter = host.adapter()
    const id = await openApp({ adapter }).task("grown").dispatch(1)
    const taskora = openApp({ adapter: host.sibling(adapter) })
    let tries = 0
    taskora.task("grown", {
      version: 2,
      migrate: {
        1: (n: number) => {
          if (++tries < 3) throw new Error("not yet")
          return n + 1
        },
      },
      handler: (n: number) => n,
      retry: { attempts: 3, delay: 0 },
    })
    await taskora.start()
    await until(async () => (await taskora.inspect().find(id))?.state === "completed", "it completed")
    expect(await taskora.inspect().find(id)).toMatchObject({ result: 2, attempt: 3 })
  })

  it("delayed, named, prioritized and recovered jobs keep their version", async () => {
    const adapter = host.adapter()
    const old = openApp({ adapter }).task("grown", { version: 2 })
    const ids = await Promise.all([
      old.dispatch(1, { delay: 20 }),
      old.dispatch(2, { jobId: "mine" }),
      old.dispatch(3, { priority: 5 }),
      ...old.dispatchMany([{ data: 4, options: { delay: 10, priority: 1 } }]),
    ])
    const taskora = openApp({ adapter: host.sibling(adapter) })
    taskora.task("grown", {
      version: 3,
      migrate: { 1: () => "of version 1", 2: (n: number) => -n },
      handler: (n: number) => n,
    })
    await taskora.start()
    const results = async () =>
      (await Promise.all(ids.map((id) => taskora.inspect().find(id)))).map((job) => job?.result)
    await until(async () => (await results()).every((result) => result !== undefined), "all completed")
    expect(await results()).toEqual([-1, -2, -3, -4])
  })
})

describe("versions, since and migrate", () => {
  const said = (options: VersionOptions) => {
    const { version, since, steps } = resolveVersions(options, "t")
    return [version, since, steps.length]
  }
  const step = into(z.unknown(), (data) => data)

  it("say which versions there are", () => {
    expect(said({})).toEqual([1, 1, 0])
    expect(said({ version: 5 })).toEqual([5, 1, 0])
    expect(said({ version: 5, since: 3, migrate: { 3: () => 1, 4: () => 1 } })).toEqual([5, 3, 2])
    expect(said({ since: 3, migrate: [step, step] })).toEqual([5, 3, 2])
    expect(said({ version: 3, since: 1, migrate: [step, step] })).toEqual([3, 1, 2])
    expect(said({ version: 2, since: 2 })).toEqual([2, 2, 0])
  })

  const one = () => 1
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [{ version: 0 }, /version must be a whole number from 1/],
    [{ version: 1.5 }, /version must be/],
    [{ version: 2_000_000 }, /version must be/],
    [{ since: 2 }, /since \(2\) is above version \(1\)/],
    [{ version: 3, migrate: { 1: one } }, /migrate\[2\] must be a function that makes data of version 3/],
    [{ version: 2, migrate: { 1: one, 2: one } }, /there is no option "2"/],
    [{ version: 3, since: 2, migrate: { 1: one, 2: one } }, /versions 2 to 2\): there is no option "1"/],
    [{ version: 2, migrate: { 1: "rename" } }, /migrate\[1\] must be a function/],
    [{ version: 5, migrate: [step] }, /make version 2, not 5/],
    [{ migrate: [one] }, /migrate\[0\] must be made by into/],
  ]

  it.each(refused)("%o is refused in words", (options, message) => {
    expect(() => resolveVersions(options as VersionOptions, "t")).toThrow(message)
  })

  it("into() says what it misses", () => {
    expect(() => into(undefined as never, one as never)).toThrow(/the schema is missing/)
    expect(() => into(z.string(), "fn" as never)).toThrow(/"fn" is no function/)
    expect(() => into({} as never, one as never)).toThrow(/must be a schema of a library/)
  })
})
