import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { slotOf } from "../../src/store/slots.ts"
import { testApps, until } from "../support/hosts.ts"
import { type RedisCluster, startCluster } from "../support/redis-cluster.ts"
import { redisAvailable } from "../support/redis-server.ts"

describe.skipIf(!redisAvailable())("an app on a cluster", () => {
  const app = testApps()
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  it("works on tasks of all nodes", async () => {
    const taskora = app({ adapter: redisAdapter({ nodes: cluster.nodes }, { prefix: "w" }) })
    const heard: string[] = []
    taskora.on("task:completed", ({ task, result }) => heard.push(`${task} ${result}`))
    const names = Array.from({ length: 30 }, (_, i) => `task-${i}`)
    const tasks = names.map((name) => taskora.task<number, number>(name, async (n) => n + 1))
    await taskora.start()
    const results = await Promise.all(tasks.flatMap((task) => [1, 2, 3].map((n) => task.dispatch(n).result)))
    expect(results).toEqual(names.flatMap(() => [2, 3, 4]))
    await until(() => heard.length === 90, "all events were heard")
    const owners = new Set(
      await Promise.all(names.map(async (name) => (await cluster.owner(slotOf(`{${name}}`))).id)),
    )
    expect(owners.size).toBe(3)
  })
})
