import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type FaultyProxy, startProxy } from "../../support/proxy.ts"
import { type RedisServer, redisAvailable, startRedis } from "../../support/redis-server.ts"
import { blocked, connectStore, failureOf, lua, openStore, rawClient, until } from "./support.ts"

const increment = lua("increment", "return redis.call('INCR', KEYS[1])")

describe.skipIf(!redisAvailable())("closing the store", () => {
  let server: RedisServer
  let proxy: FaultyProxy
  beforeAll(async () => {
    server = await startRedis()
    proxy = await startProxy(server.port)
  })
  afterAll(async () => {
    await proxy.stop()
    await server.stop()
  })
  beforeEach(async () => {
    proxy.refusing = false
    proxy.swallowed.clear()
    proxy.cut()
    await until(() => handles().length === 0)
  })

  it("closes within its bound, rejecting what is under way, when the socket is half-open", async () => {
    const { store, prefix } = await connectStore(proxy.url)
    const key = `${prefix}:taskora:n`
    await store.run(increment, [key], [])
    await store.waitForWork([], 1)
    const waiting = failureOf(store.waitForWork([`${prefix}:taskora:{a}:wake`], 60_000))
    await blocked(rawClient(server.url), 1)
    proxy.swallowed.add("requests").add("replies")
    store.interruptWait()
    const running = failureOf(store.run(increment, [key], []))
    let watchdog = false
    const timer = setTimeout(() => {
      watchdog = true
    }, 2_000)
    await store.close()
    clearTimeout(timer)
    expect(watchdog).toBe(false)
    expect((await running).fate).toBe("unanswered")
    expect((await waiting).fate).toBe("unanswered")
    expect((await failureOf(store.run(increment, [key], []))).fate).toBe("unsent")
  })

  it("closes while it is reconnecting, leaving no handle open, as often as asked", async () => {
    const { store, heard } = await connectStore(proxy.url)
    await store.waitForWork([], 1)
    await store.subscribe(["a"])
    proxy.refusing = true
    proxy.cut()
    await until(() => heard.lost.length === 1)
    await Promise.all([store.close(), store.close()])
    await store.close()
    await until(() => proxy.connections === 0)
    await until(() => handles().length === 0)
    expect(heard.lost).toHaveLength(1)
    await expect(store.connect()).rejects.toMatchObject({ code: "CLOSED" })
  })

  it("removes its control keys", async () => {
    const { store, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const calls = [store.waitForWork([], 60_000), store.readStreams(new Map(), 60_000, 1)]
    await blocked(raw, 2)
    store.interruptRead()
    store.interruptWait()
    await Promise.all(calls)
    expect(await raw.keys(`${prefix}:*:read`)).toHaveLength(1)
    await store.close()
    expect(await raw.keys(`${prefix}:*`)).toEqual([])
  })

  it("closes before and during its first connect", async () => {
    await openStore(proxy.url).store.close()
    const { store } = openStore(proxy.url)
    const connecting = store.connect()
    await Promise.all([expect(connecting).rejects.toMatchObject({ code: "CLOSED" }), store.close()])
    await until(() => proxy.connections === 0)
    await until(() => handles().length === 0)
  })
})

function handles(): string[] {
  // Without the test's own listener, process and pipes.
  return process.getActiveResourcesInfo().filter((name) => name === "Timeout" || name === "TCPSocketWrap")
}
