import { rm } from "node:fs/promises"
import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { type RedisServer, redisAvailable, startRedis } from "../../support/redis-server.ts"
import { blocked, connectStore, failureOf, lua, openStore, rawClient, until } from "./support.ts"

const write = lua("write", "return redis.call('INCR', KEYS[1])")

describe.skipIf(!redisAvailable())("a server that cannot serve now", () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  it("is demoted: what is under way is unavailable, and the store is back when it can write again", async () => {
    const { store, heard, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const key = `${prefix}:taskora:n`
    await store.run(write, [key], [])
    const waiting = failureOf(store.waitForWork([], 60_000))
    await blocked(raw, 1)
    await raw.call("REPLICAOF", "127.0.0.1", "1")
    onTestFinished(() => raw.call("REPLICAOF", "NO", "ONE").then(() => {}))
    expect(await waiting).toMatchObject({ fate: "unavailable", code: "UNBLOCKED" })
    expect(await failureOf(store.run(write, [key], []))).toMatchObject({
      fate: "unavailable",
      code: "READONLY",
    })
    expect(store.connected()).toBe(false)
    // Reconnecting to it succeeds, but writing would not: that is no way back, and no second outage.
    for (let calls = 0; calls < 20; calls++) {
      const { fate } = await failureOf(store.run(write, [key], []))
      expect(fate).toBe("unsent")
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(heard).toMatchObject({ lost: [expect.anything()], back: 0 })
    await raw.call("REPLICAOF", "NO", "ONE")
    await until(() => heard.back === 1)
    expect(await store.run(write, [key], [])).toBe(2)
    expect(heard.lost).toHaveLength(1)
  })

  it("is busy with a script, and the store waits for it on connecting", async () => {
    const own = await startRedis({ args: ["--busy-reply-threshold", "50"] })
    onTestFinished(() => own.stop())
    const { store, heard, prefix } = await connectStore(own.url)
    const key = `${prefix}:taskora:n`
    const raw = rawClient(own.url)
    // Connected before: a client's own check at its start is refused by a busy server.
    const killer = rawClient(own.url)
    await killer.ping()
    const endless = raw.eval("while true do end", 0).catch(() => "killed")
    const busy = () => store.run(write, [key], []).catch((error: unknown) => error)
    await until(async () => (await busy()) instanceof Error)
    expect(await busy()).toMatchObject({ fate: "unavailable", code: "BUSY" })
    let connected = false
    const connecting = openStore(own.url)
      .store.connect()
      .then(() => {
        connected = true
      })
    for (let calls = 0; calls < 20; calls++) await busy()
    expect(connected).toBe(false)
    await killer.script("KILL")
    await endless
    await connecting
    expect(await store.run(write, [key], [])).toBeGreaterThan(0)
    expect(heard.lost).toEqual([])
  })

  it("is loading its data: waited for, by who is connected and by who connects", async () => {
    const slowly = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
    const own = await startRedis({ args: slowly })
    onTestFinished(() => own.stop())
    const { store, heard, prefix } = await connectStore(own.url)
    const key = `${prefix}:taskora:n`
    await store.run(write, [key], [])
    const raw = rawClient(own.url)
    await raw.mset(Object.fromEntries(Array.from({ length: 800 }, (_, i) => [`k${i}`, "v".repeat(50)])))
    await raw.save()
    // One that does not wait for the end of it by itself.
    const eager = new Redis(own.url, { enableReadyCheck: false, retryStrategy: () => 20 })
    eager.on("error", () => {})
    onTestFinished(() => eager.disconnect())
    await eager.ping()
    const restarted = own.restart()
    await until(async () =>
      /^LOADING/.test((await eager.get(key).catch((error: Error) => error.message)) ?? ""),
    )
    expect((await failureOf(store.run(write, [key], []))).fate).toBe("unsent")
    let connected = false
    const connecting = openStore(own.url)
      .store.connect()
      .then(() => {
        connected = true
      })
    expect(connected).toBe(false)
    expect(heard.back).toBe(0)
    await Promise.all([restarted, connecting])
    await until(() => heard.back === 1)
    expect(heard.lost).toHaveLength(1)
    expect(await store.run(write, [key], [])).toBe(2)
  })

  it("no longer takes the password: says so for as long as that is so", async () => {
    const own = await startRedis()
    onTestFinished(() => own.stop())
    const { store, heard } = await connectStore(own.url)
    const raw = rawClient(own.url)
    await raw.config("SET", "requirepass", "rotated")
    await raw.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await until(async () => /NOAUTH/.test((await failureOf(store.run(write, ["k"], []))).message))
    expect(await failureOf(store.run(write, ["k"], []))).toMatchObject({ fate: "unsent" })
    await raw.config("SET", "requirepass", "")
    await until(() => heard.back === 1)
    expect(heard.lost).toHaveLength(1)
  })

  it("is out of memory: refused, with nothing lost", async () => {
    const { store, heard, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    await raw.config("SET", "maxmemory", "1")
    onTestFinished(() => raw.config("SET", "maxmemory", "0").then(() => {}))
    const failure = await failureOf(store.run(write, [`${prefix}:taskora:n`], []))
    expect(failure).toMatchObject({ fate: "refused", code: "OOM" })
    expect(failure.message).toMatch(/^script "write": OOM/)
    expect(heard.lost).toEqual([])
  })

  it("cannot save to its disk: unavailable", async () => {
    const own = await startRedis({ args: ["--save", "3600 1"] })
    onTestFinished(() => own.stop())
    const { store, prefix } = await connectStore(own.url)
    const raw = rawClient(own.url)
    const [, directory] = (await raw.config("GET", "dir")) as [string, string]
    await rm(directory, { recursive: true })
    await raw.bgsave()
    await until(async () => /rdb_last_bgsave_status:err/.test(await raw.info("persistence")))
    expect(await failureOf(store.run(write, [`${prefix}:taskora:n`], []))).toMatchObject({
      fate: "unavailable",
      code: "MISCONF",
    })
  })
})
