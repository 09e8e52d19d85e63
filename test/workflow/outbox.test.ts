import { once } from "node:events"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { chain, group } from "../../src/index.ts"
import { onRedis, testApps } from "../support/hosts.ts"
import { buildProgram, exited, type Program } from "../support/program.ts"
import { declareTasks } from "./random.ts"
import type { VictimSettings } from "./victim.ts"

/** Each gap between the settlement of a node and the workflow's advance, in the order of the calls. */
const gaps = [
  ["before the outbox is read", "outbox", 1],
  ["before the workflow is told", "advance", 1],
  ["before what is next is dispatched", "enqueue", 1],
  ["before the workflow hears of that dispatch", "advance", 2],
  ["before the outbox is emptied", "deliver", 1],
] as const
const trials = Number(process.env.TASKORA_OUTBOX_TRIALS ?? 10)
const sideBySide = 10

onRedis("a worker killed between settlement and advance", (host) => {
  const open = testApps()
  let program: Program
  beforeAll(async () => {
    program = await buildProgram(join(import.meta.dirname, "victim.ts"))
  }, 60_000)
  afterAll(() => program.remove())

  async function trial(number: number): Promise<void> {
    const [, script, call] = gaps[number % gaps.length]!
    const adapter = host.adapter()
    const settings: VictimSettings = { url: host.url()!, prefix: adapter.prefix, at: { script, call } }
    const victim = program.start(settings)
    await once(victim, "message")
    const app = open({ adapter })
    const { seen, tasks } = declareTasks(app)
    const handle = chain(
      tasks.steady.s(1),
      group(tasks.steady.s(), tasks.steady.s()),
      tasks.steady.s(),
    ).dispatch()
    await handle
    await exited(victim)
    expect(victim.signalCode, gaps[number % gaps.length]![0]).toBe("SIGKILL")
    expect(await handle.getState(), "it was killed half-way").toBe("running")
    await app.start()
    const one = { steady: { steady: 1 } }
    expect(await handle.waitFor("45s")).toEqual({ steady: [one, one] })
    const starts = seen.starts.get(handle.id) ?? []
    expect(new Set(starts).size).toBe(starts.length)
    const graph = (await handle.getGraph())!
    expect(graph.nodes.map(({ state }) => state)).toEqual(Array(4).fill("completed"))
    await app.close()
  }

  it(
    `${trials} times, in every gap: nothing is lost, nothing runs twice`,
    async () => {
      for (let done = 0; done < trials; done += sideBySide) {
        const some = Array.from({ length: Math.min(sideBySide, trials - done) }, (_, i) => trial(done + i))
        await Promise.all(some)
      }
    },
    Math.max(120_000, trials * 6000),
  )
})
