import { expect, it, onTestFinished } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { scripts } from "../../src/store/scripts.ts"
import { hearTask } from "../support/hearing.ts"
import { onRedis, testApps } from "../support/hosts.ts"
import { startProxy } from "../support/proxy.ts"

onRedis("listeners over a faulty network", (host) => {
  const openApp = testApps()

  /** A worker near the server, and a listener beyond a proxy. */
  async function apart() {
    const adapter = host.adapter()
    const proxy = await startProxy(Number(new URL(host.url()!).port))
    onTestFinished(() => proxy.stop())
    const worker = openApp({ adapter })
    const listener = openApp({ adapter: redisAdapter(proxy.url, { prefix: adapter.prefix }) }, true)
    const errors: Error[] = []
    listener.on("worker:error", (error) => errors.push(error))
    return { proxy, worker, listener, errors }
  }

  it("After a lost connection reading goes on from the last delivered entry: nothing is missed, nothing comes twice", async () => {
    const { proxy, worker, listener, errors } = await apart()
    const task = worker.task<number, number>("cut", { concurrency: 5, handler: async (n) => n })
    const heard = hearTask(listener.task("cut"))
    await Promise.all([worker.start(), listener.listen()])
    for (let round = 1; round <= 4; round++) {
      const handles = task.dispatchMany(Array.from({ length: 300 }, (_, data) => ({ data })))
      await Promise.all(handles)
      await heard.until("completed", (round - 1) * 300 + 1)
      proxy.cut()
      await Promise.all(handles.map((handle) => handle.result))
    }
    await heard.until("completed", 1200)
    expect(heard.all.map(({ meta }) => meta.seq)).toEqual(Array.from({ length: 2400 }, (_, i) => i + 1))
    // Told once an outage, and no gap among them.
    expect(errors.length).toBeLessThanOrEqual(4)
    for (const error of errors) expect(error).toHaveProperty("kind", "connection")
  })

  it("a large result that is fetched as the connection breaks is delivered all the same", async () => {
    const { proxy, worker, listener } = await apart()
    const large = "x".repeat(20_000)
    const task = worker.task("large", async () => large)
    const heard = hearTask(listener.task("large"))
    await Promise.all([worker.start(), listener.listen()])
    const landed = proxy.strike(scripts.fetch.source.sha, "request lost")
    const id = await task.dispatch({})
    await landed
    await heard.until("completed")
    expect(heard.of("completed")).toEqual([{ id, result: large, duration: expect.any(Number), attempt: 1 }])
  })
})
