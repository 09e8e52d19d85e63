import { expect, it, onTestFinished } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { scripts } from "../../src/store/scripts.ts"
import { onRedis, testApps, until } from "../support/hosts.ts"
import { startProxy } from "../support/proxy.ts"

onRedis("ctx.heartbeat()", (host) => {
  const open = testApps()

  it("renews by a call of its own where another one, sent before, is still to be answered", async () => {
    const proxy = await startProxy(Number(new URL(host.url()!).port))
    onTestFinished(() => proxy.stop())
    const { prefix } = host.adapter()
    const app = open({ adapter: redisAdapter(proxy.url, { prefix }) })
    const { sha } = scripts.renew.source
    let renewals = 0
    const task = app.task<null, number>("work", {
      stall: { interval: 30_000 },
      handler: async (_, ctx) => {
        proxy.watch = (chunk) => {
          if (chunk.includes(sha) && ++renewals === 1) proxy.hold(true)
        }
        const first = ctx.heartbeat()
        await until(() => renewals === 1, "the first renewal is on its way")
        const second = ctx.heartbeat()
        proxy.hold(false)
        await Promise.all([first, second])
        return renewals
      },
    })
    await app.start()
    expect(await task.dispatch(null).result).toBe(2)
  })
})
