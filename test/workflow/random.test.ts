import { expect, it, vi } from "vitest"
import { type Composition, WorkflowFailedError } from "../../src/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"
import { declareTasks, dice, randomPlan } from "./random.ts"

const seed = Number(process.env.TASKORA_WORKFLOW_SEED ?? Math.floor(Math.random() * 2 ** 31))
const most = Number(process.env.TASKORA_WORKFLOWS ?? 0)

onBothHosts("workflows at random", (host) => {
  const openApp = testApps()
  const count = most || (host.name === "embedded" ? 1000 : 200)

  it(`${count} of them end in the state that their graphs prescribe, seed ${seed}`, async () => {
    vi.spyOn(console, "error").mockImplementation(() => {})
    const app = openApp({ adapter: host.adapter(), retention: { completed: { maxItems: 0 } } })
    const { seen, tasks } = declareTasks(app)
    const ends = new Map<string, string>()
    for (const name of ["completed", "failed", "cancelled"] as const)
      app.on(`workflow:${name}`, ({ id }) => {
        ends.set(id, (ends.get(id) ?? "") + name)
        seen.ended.add(id)
      })
    await app.start()
    const roll = dice(seed)
    let nodes = 0
    const run = async () => {
      const failing = roll(4) === 0 ? 15 : 0
      let plan = randomPlan(roll, tasks, 3, failing, true)
      while (plan.nodes === 0) plan = randomPlan(roll, tasks, 3, failing, true)
      const cancels = roll(10) === 0
      const pause = roll(10)
      nodes += plan.nodes
      const handle = (plan.composition as Composition<unknown, unknown>).dispatch({ name: "random" })
      await handle
      if (cancels) {
        await new Promise((resolve) => setTimeout(resolve, pause))
        await handle.cancel({ reason: "no need" })
      }
      const result = await handle.waitFor("60s").then(
        (value) => ({ state: "completed", value }),
        (error: Error) => ({
          state: error instanceof WorkflowFailedError ? "failed" : error.constructor.name,
          error,
        }),
      )
      const prescribed = plan.fails ? "failed" : "completed"
      const state = await handle.getState()
      if (!(cancels && result.state === "CancelledError")) {
        expect(result.state).toBe(prescribed)
        expect(state).toBe(prescribed)
        if ("value" in result) expect(result.value).toEqual(plan.value(undefined))
      } else expect(state).toBe("cancelled")
      const graph = (await handle.getGraph())!
      expect(graph.nodes).toHaveLength(plan.nodes)
      for (const node of graph.nodes) expect(["ready", "dispatched", "waiting"]).not.toContain(node.state)
      const starts = seen.starts.get(handle.id) ?? []
      expect(new Set(starts).size, "no attempt of a node ran twice").toBe(starts.length)
    }
    for (let done = 0; done < count; done += 25) await Promise.all(Array.from({ length: 25 }, run))
    expect(seen.late).toEqual([])
    expect(nodes).toBeGreaterThan(count)
    for (const end of ends.values()) expect(["completed", "failed", "cancelled"]).toContain(end)
    expect(ends.size).toBe(count)
  }, 120_000)
})
