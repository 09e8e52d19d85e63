import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { slotOf } from "../../src/store/slots.ts"
import { testApps, until } from "../support/hosts.ts"
import { type RedisCluster, startCluster } from "../support/redis-cluster.ts"
import { redisAvailable } from "../support/redis-server.ts"
import { countsById, heardBy } from "./ledger.ts"
import { deployment } from "./processes.ts"

const prefix = "failing"
const tasks = ["a", "b", "c", "d", "e", "f"]

describe.skipIf(!redisAvailable())("a master that is killed under load", () => {
  const app = testApps()
  const deploy = deployment()
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster({ replicas: true })
  })
  afterAll(() => cluster.stop())

  it("takes no more than the unreplicated tail with it, and work goes on at its replica", async () => {
    const { nodes } = cluster
    const workers = await deploy({ nodes, prefix, tasks, leaseMs: 2_000 }, 3)
    const producer = app({ adapter: redisAdapter({ nodes }, { prefix }) }, true)
    const dispatching = tasks.map((name) => producer.task<number, number>(name))
    const acknowledged: { id: string; at: number; task: string }[] = []
    const refused: Error[] = []
    let ended = false
    const load = dispatching.map(async (task) => {
      while (!ended) {
        const batch = Array.from({ length: 3 }, (_, i) => task.dispatch(i))
        for (const outcome of await Promise.allSettled(batch)) {
          if (outcome.status === "fulfilled")
            acknowledged.push({ id: outcome.value, at: performance.now(), task: task.name })
          else refused.push(outcome.reason)
        }
        await new Promise((resolve) => setTimeout(resolve, 30))
      }
    })
    await until(() => acknowledged.length > 300, "there is load")

    const slot = slotOf("{a}")
    const home = await cluster.owner(slot)
    const killedAt = performance.now()
    await home.server.kill()
    const ofTask = () => acknowledged.filter(({ task, at }) => task === "a" && at > killedAt + 1_000).length
    await until(() => ofTask() > 50, "dispatching to the task of the killed node goes on", 20_000)
    ended = true
    await Promise.all(load)
    expect((await cluster.owner(slot)).id).not.toBe(home.id)

    // What was acknowledged in the last moment may not have reached the replica.
    const safe = acknowledged.filter(({ at }) => at < killedAt - 500 || at > killedAt)
    const completed = () =>
      countsById(
        workers.flatMap((worker) => heardBy(worker.lines()).filter(({ event }) => event === "completed")),
      )
    await until(
      () => {
        const done = completed()
        return safe.every(({ id }) => done.has(id))
      },
      "all jobs that were safe are completed",
      30_000,
    )
    const { waiting, active } = await producer.inspect().stats()
    expect({ waiting, active }).toEqual({ waiting: 0, active: 0 })
    await Promise.all(workers.map((worker) => worker.close()))

    for (const { code } of refused as (Error & { code: string })[])
      expect(["CONNECTION", "UNCONFIRMED"]).toContain(code)
    const risky = new Set(
      acknowledged.filter(({ id }) => !safe.some((one) => one.id === id)).map(({ id }) => id),
    )
    for (const worker of workers) {
      const lines = worker.lines()
      const gaps = lines.filter(({ kind }) => kind === "error").map((line) => JSON.stringify(line))
      const twice = [...countsById(heardBy(lines).filter(({ event }) => event === "completed"))].filter(
        ([id, times]) => times > 1 && !risky.has(id),
      )
      expect(twice).toEqual([])
      for (const text of gaps) expect(text).toMatch(/lost the connection|went back|ends before/)
    }
  }, 120_000)
})
