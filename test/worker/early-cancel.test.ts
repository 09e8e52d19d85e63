import { expect, test } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { untilAborted } from "../support/aborted.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { startProxy } from "../support/proxy.ts"

onRedis("a request to cancel", (host) => {
  const open = testApps()

  test("that overtakes the answer of the claim is honoured as the run begins", async () => {
    const proxy = await startProxy(Number(new URL(host.url()!).port))
    const { prefix } = host.adapter()
    // The answer that hands the job out; the request comes by another connection.
    proxy.delayMs = (chunk) => (chunk.includes("held-back") ? 200 : 0)
    const worker = open({ adapter: redisAdapter(proxy.url, { prefix }) })
    const reasons: unknown[] = []
    worker.task("t", {
      // No renewal tells of the request within this test.
      stall: { interval: "1h" },
      async handler(_: unknown, ctx) {
        await untilAborted(ctx.signal).catch((reason: Error) => {
          reasons.push(reason.message)
          throw reason
        })
      },
    })
    await worker.start()
    const other = open({ adapter: redisAdapter(host.url()!, { prefix }) })
    const handle = other.task("t").dispatch("held-back")
    await until(async () => (await handle.getState()) === "active", "it is claimed")
    expect(reasons).toEqual([])
    expect(await handle.cancel({ reason: "too soon" })).toBe("requested")
    await expect(handle.result).rejects.toMatchObject({ code: "CANCELLED" })
    expect(reasons).toEqual([expect.stringContaining("too soon")])
    await worker.close()
    await proxy.stop()
  })
})
