import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest"
import { type FaultyProxy, startProxy } from "../../support/proxy.ts"
import { type RedisServer, redisAvailable, startRedis } from "../../support/redis-server.ts"
import { blocked, connectStore, failureOf, lua, rawClient, until } from "./support.ts"

const increment = lua("increment", "return redis.call('INCR', KEYS[1])")

describe.skipIf(!redisAvailable())("the store on a bad network", () => {
  let server: RedisServer
  let proxy: FaultyProxy
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())
  beforeEach(async () => {
    proxy = await startProxy(server.port)
    onTestFinished(() => proxy.stop())
  })

  it("says unanswered, and sends nothing again, when the request or the reply is lost", async () => {
    const { store, heard, prefix } = await connectStore(proxy.url)
    const raw = rawClient(server.url)
    const key = `${prefix}:taskora:n`
    await store.run(increment, [key], [])

    const requestLost = proxy.strike(increment.sha, "request lost")
    expect(await failureOf(store.run(increment, [key], []))).toMatchObject({ fate: "unanswered" })
    await requestLost
    await until(() => heard.back === 1)
    expect(await raw.get(key)).toBe("1")

    const replyLost = proxy.strike(increment.sha, "reply lost")
    expect(await failureOf(store.run(increment, [key], []))).toMatchObject({ fate: "unanswered" })
    await replyLost
    await until(() => heard.back === 2)
    expect(await raw.get(key)).toBe("2")
    expect(heard.lost).toHaveLength(2)
    expect(heard.lost[0]).toMatchObject({ code: "CONNECTION" })
  })

  it("lets the original arrive late, once", async () => {
    const { store, heard, prefix } = await connectStore(proxy.url)
    const key = `${prefix}:taskora:n`
    await store.run(increment, [key], [])
    const struck = proxy.strike(increment.sha, "request late")
    expect(await failureOf(store.run(increment, [key], []))).toMatchObject({ fate: "unanswered" })
    await until(() => heard.back === 1)
    expect(await store.run(increment, [key], [])).toBe(2)
    await (await struck).deliver()
    expect(await store.run(increment, [key], [])).toBe(4)
  })

  it("rejects as unsent while there is no connection, and sends none of it later", async () => {
    const { store, heard, prefix } = await connectStore(proxy.url)
    const key = `${prefix}:taskora:n`
    await store.run(increment, [key], [])
    proxy.refusing = true
    proxy.cut()
    await until(() => heard.lost.length === 1)
    expect(store.connected()).toBe(false)
    for (let i = 0; i < 5; i++) {
      expect(await failureOf(store.run(increment, [key], []))).toMatchObject({ fate: "unsent" })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(heard).toMatchObject({ lost: [expect.anything()], back: 0 })
    proxy.refusing = false
    await until(() => heard.back === 1)
    expect(store.connected()).toBe(true)
    expect(await store.run(increment, [key], [])).toBe(2)
  })

  it("comes back after a restart of the server, on every connection", async () => {
    const own = await startRedis()
    onTestFinished(() => own.stop())
    const { store, heard, prefix } = await connectStore(own.url)
    const wake = `${prefix}:taskora:{a}:wake`
    await store.subscribe(["news"])
    const under = [
      store.readStreams(new Map([["s", "0-0"]]), 20_000, 1),
      store.waitForWork([wake], 20_000),
    ].map(failureOf)
    await blocked(rawClient(own.url), 2)
    await own.restart()
    for (const failure of await Promise.all(under)) expect(failure.fate).toBe("unanswered")
    await until(() => heard.back === 1)

    const raw = rawClient(own.url)
    await raw.zadd(wake, 0, "w")
    await until(async () =>
      (await store.waitForWork([wake], 1).catch(() => [] as readonly string[])).includes(wake),
    )
    await until(async () => {
      await raw.publish("news", "again")
      return heard.messages.length > 0
    })
    await until(async () =>
      Array.isArray(await store.readStreams(new Map([["s", "0-0"]]), 1, 1).catch(() => 0)),
    )
  })

  it("rejects what is under way when the server kills its clients, and goes on", async () => {
    const { store, heard, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const key = `${prefix}:taskora:n`
    let acknowledged = 0
    let unconfirmed = 0
    for (let kills = 1; kills <= 20; kills++) {
      // They may be rejected before the killing is answered.
      const calls = Promise.allSettled(Array.from({ length: 20 }, () => store.run(increment, [key], [])))
      await raw.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      for (const outcome of await calls) {
        if (outcome.status === "fulfilled") acknowledged++
        else if (outcome.reason.fate === "unanswered") unconfirmed++
        else expect(outcome.reason.fate).toBe("unsent")
      }
      await until(() => store.connected() && heard.back === kills)
    }
    const stored = Number(await raw.get(key))
    expect(stored).toBeGreaterThanOrEqual(acknowledged)
    expect(stored).toBeLessThanOrEqual(acknowledged + unconfirmed)
    expect(heard.lost).toHaveLength(20)
  })

  it("notices a half-open socket by the missing answer, on commands and on blocking calls", async () => {
    const { store, heard, prefix } = await connectStore(proxy.url)
    const key = `${prefix}:taskora:n`
    await store.run(increment, [key], [])
    // A long wait before: the watchdog must not sleep as long as that would have allowed.
    const long = store.waitForWork([], 120_000)
    await blocked(rawClient(server.url), 1)
    store.interruptWait()
    await long
    await store.readStreams(new Map(), 1, 1)
    proxy.swallowed.add("requests").add("replies")
    const failures = await Promise.all([
      failureOf(store.run(increment, [key], [])),
      failureOf(store.waitForWork([key], 500)),
      failureOf(store.readStreams(new Map([[key, "0-0"]]), 500, 1)),
    ])
    expect(failures.map(({ fate }) => fate)).toEqual(["unanswered", "unanswered", "unanswered"])
    expect(heard.lost[0]?.message).toMatch(/no answer to script "increment"/)
    proxy.swallowed.clear()
    await until(() => heard.back === 1)
    expect(await store.run(increment, [key], [])).toBe(2)
    await until(async () => Array.isArray(await store.waitForWork([], 1).catch(() => "no")))
  }, 30_000)

  it("takes an answer that is slow to arrive for an answer", async () => {
    const { store, prefix } = await connectStore(proxy.url)
    const raw = rawClient(server.url)
    const key = `${prefix}:taskora:{a}:events`
    await raw.xadd(key, "1-0", "e", "x".repeat(3_000_000))
    await store.readStreams(new Map(), 1, 1)
    let queued = 0
    proxy.delayMs = (chunk) => {
      if (chunk.length > 1_000) queued += 100
      return queued
    }
    const [chunk] = await store.readStreams(new Map([[key, "0-0"]]), 1, 1)
    expect(chunk?.entries[0]?.[1]).toHaveLength(3_000_000)
    // Longer than a blocking call is waited for without a sign of life.
    expect(queued).toBeGreaterThan(3_500)
  }, 60_000)

  it("does not take an event loop that was blocked for a silent server", async () => {
    const { store } = await connectStore(server.url)
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
    await store.waitForWork([], 1)
    await pause(1_500)
    // Answered while nobody can read; when the loop turns again, the watchdog's timer is due first.
    const waiting = store.waitForWork([], 1_000)
    await pause(800)
    const until = performance.now() + 3_000
    while (performance.now() < until);
    expect(await waiting).toEqual([])
  }, 60_000)
})
