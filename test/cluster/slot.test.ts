import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { slotOf } from "../../src/store/slots.ts"
import { testApps, until } from "../support/hosts.ts"
import { type RedisCluster, startCluster } from "../support/redis-cluster.ts"
import { redisAvailable } from "../support/redis-server.ts"
import { countsById, disorder, heardBy } from "./ledger.ts"
import { deployment } from "./processes.ts"

const prefix = "moving"
const tasks = ["a", "b", "c", "d", "e", "f"]

describe.skipIf(!redisAvailable())("a slot that is moved under load", () => {
  const app = testApps()
  const deploy = deployment()
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  it("loses nothing, runs nothing twice, and every process hears every event once and in order", async () => {
    const { nodes } = cluster
    const workers = await deploy({ nodes, prefix, tasks, leaseMs: 30_000 }, 3)
    const producer = app({ adapter: redisAdapter({ nodes }, { prefix }) })
    const dispatching = tasks.map((name) => producer.task<number, number>(name))
    const acknowledged: string[] = []
    const refused: unknown[] = []
    let ended = false
    const load = dispatching.map(async (task) => {
      while (!ended) {
        const batch = Array.from({ length: 5 }, (_, i) => task.dispatch(i))
        for (const outcome of await Promise.allSettled(batch)) {
          if (outcome.status === "fulfilled") acknowledged.push(outcome.value)
          else refused.push(outcome.reason)
        }
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })
    await until(() => acknowledged.length > 300, "there is load")

    const slot = slotOf("{a}")
    const home = await cluster.owner(slot)
    const others = cluster.masters.filter(({ id }) => id !== home.id)
    let halfway = 0
    for (const to of [others[0]!, others[1]!, home]) {
      const before = acknowledged.length
      await cluster.move(slot, to, async () => {
        // Keys are on both sides: this task rests, and the others go on.
        const now = acknowledged.length
        await until(() => acknowledged.length > now + 20, "the other tasks go on")
        halfway++
      })
      await until(() => acknowledged.length > before + 200, "there is load after the move")
    }
    expect(halfway).toBe(3)
    ended = true
    await Promise.all(load)

    const done = () => countsById(heardBy(workers[0]!.lines()).filter(({ event }) => event === "completed"))
    await until(() => done().size === acknowledged.length, "all jobs are completed", 20_000)
    await Promise.all(workers.map((worker) => worker.close()))
    expect(refused).toEqual([])
    const expected = new Map(acknowledged.map((id) => [id, 1]))
    expect(
      countsById(workers.flatMap((worker) => worker.lines().filter((line) => line.kind === "run"))),
    ).toEqual(expected)
    for (const worker of workers) {
      const lines = worker.lines()
      expect(lines.filter(({ kind }) => kind === "error")).toEqual([])
      expect(disorder(lines)).toEqual([])
    }
    for (const event of ["active", "completed"]) {
      const heard = heardBy(workers[1]!.lines()).filter((line) => line.event === event)
      expect(countsById(heard).size, event).toBeGreaterThan(300)
    }
    const { completed, waiting, active } = await producer.inspect().stats()
    expect({ completed, waiting, active }).toEqual({ completed: acknowledged.length, waiting: 0, active: 0 })
  }, 90_000)
})
