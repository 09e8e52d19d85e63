import { expect, it, vi } from "vitest"
import { type AppOptions, chain, chord, group, WorkflowFailedError } from "../../src/index.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

onBothHosts("compositions", (host) => {
  const openApp = testApps()

  function arithmetic(options?: Partial<AppOptions>) {
    const taskora = openApp({ adapter: host.adapter(), ...options })
    const ran: string[] = []
    const note = (name: string, value: unknown) => ran.push(`${name} ${JSON.stringify(value)}`)
    const add = taskora.task("add", async ([a, b]: readonly [number, number]) => {
      note("add", [a, b])
      return a + b
    })
    const double = taskora.task("double", async (n: number) => {
      note("double", n)
      return n * 2
    })
    const sum = taskora.task("sum", async (numbers: readonly number[]) => {
      note("sum", numbers)
      return numbers.reduce((all, n) => all + n, 0)
    })
    const fail = taskora.task("fail", async (n: number): Promise<number> => {
      note("fail", n)
      throw new Error(`no ${n}`)
    })
    return { taskora, ran, add, double, sum, fail }
  }

  it("a chain hands each job what the one before it gave", async () => {
    const { taskora, add, double, ran } = arithmetic()
    await taskora.start()
    const handle = chain(add.s([1, 2]), double.s(), double.s()).dispatch()
    expect(await handle.waitFor("10s")).toBe(12)
    expect(ran).toEqual(["add [1,2]", "double 3", "double 6"])
    expect(await handle.getState()).toBe("completed")
  })

  it("a group gives the list of its results, in order", async () => {
    const { taskora, double } = arithmetic()
    await taskora.start()
    expect(await group(double.s(1), double.s(2), double.s(3)).dispatch().waitFor("10s")).toEqual([2, 4, 6])
    expect(await double.map([4, 5]).dispatch().waitFor("10s")).toEqual([8, 10])
    expect(await double.map([]).dispatch().waitFor("10s")).toEqual([])
  })

  it("a chord hands its callback the list; compositions nest", async () => {
    const { taskora, add, double, sum, ran } = arithmetic()
    await taskora.start()
    const inner = chord([double.s(), chain(double.s(), double.s())], sum.s())
    const handle = chain(add.s([1, 1]), group(inner, double.s()), sum.s()).dispatch()
    expect(await handle.waitFor("10s")).toBe(4 + 8 + 4)
    expect(ran.filter((line) => line.startsWith("sum"))).toEqual(["sum [4,8]", "sum [12,4]"])
  })

  it("chunks are lists of at most the size", async () => {
    const { taskora, sum } = arithmetic()
    await taskora.start()
    expect(await sum.chunk([1, 2, 3, 4, 5], { size: 2 }).dispatch().waitFor("10s")).toEqual([3, 7, 5])
  })

  it("a permanent failure fails the workflow and cancels what has not run", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {})
    const { taskora, double, fail, sum, ran } = arithmetic()
    await taskora.start()
    const handle = chain(group(fail.s(1), double.s(2)), sum.s()).dispatch()
    const error = await handle.waitFor("10s").catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(WorkflowFailedError)
    expect(error).toMatchObject({ node: `${handle.id}:0`, cause: { message: "no 1" } })
    expect(await handle.getState()).toBe("failed")
    expect(ran.some((line) => line.startsWith("sum"))).toBe(false)
    const graph = await handle.getGraph()
    expect(graph!.nodes.at(-1)).toMatchObject({ task: "sum", state: "skipped" })
  })

  it("events tell of each end once, to every process that listens", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {})
    const { taskora, double, fail } = arithmetic()
    const heard: unknown[] = []
    for (const name of ["completed", "failed", "cancelled"] as const)
      taskora.on(`workflow:${name}`, (payload) => heard.push({ event: name, ...payload }))
    await taskora.start()
    const good = group(double.s(1)).dispatch({ name: "good" })
    await good.waitFor("10s")
    const bad = chain(fail.s(1)).dispatch({ name: "bad" })
    await bad.waitFor("10s").catch(() => undefined)
    const idle = double.s(1, { delay: "1h" }).dispatch({ name: "idle" })
    await until(async () => (await idle.getGraph())?.nodes[0]?.state === "dispatched", "it waits")
    expect(await idle.cancel({ reason: "enough" })).toBe("cancelled")
    await until(() => heard.length === 3, "three events")
    expect(heard).toEqual([
      { event: "completed", id: good.id, name: "good", result: [2], duration: expect.any(Number) },
      { event: "failed", id: bad.id, name: "bad", error: "no 1", duration: expect.any(Number) },
      { event: "cancelled", id: idle.id, name: "idle", reason: "enough", duration: expect.any(Number) },
    ])
    await expect(idle.result).rejects.toMatchObject({ code: "CANCELLED", reason: "enough" })
  })
})
