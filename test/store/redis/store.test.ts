import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type RedisServer, redisAvailable, startRedis } from "../../support/redis-server.ts"
import { connectStore, lua, openStore, rawClient, until } from "./support.ts"

const increment = lua("increment", "return redis.call('INCRBY', KEYS[1], ARGV[1])")

describe.skipIf(!redisAvailable())("the store on Redis", () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  it("runs scripts, loading them when the server does not know them", async () => {
    const { store, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const key = `${prefix}:taskora:n`
    expect(await store.run(increment, [key], [2])).toBe(2)
    await raw.script("FLUSH")
    expect(await store.run(increment, [key], [3])).toBe(5)
    expect(await raw.script("EXISTS", increment.sha)).toEqual([1])
  })

  it("replies what RESP2 replies", async () => {
    const { store } = await connectStore(server.url)
    const values = lua("values", "return { 1, 'é', false, { 2.9, '' } }")
    expect(await store.run(values, [], [])).toEqual([1, "é", null, [2, ""]])
  })

  it("describes the server", async () => {
    const { store } = openStore(server.url)
    expect(store.describe()).toEqual({
      product: "redis",
      version: "unknown",
      address: "127.0.0.1",
      port: server.port,
    })
    expect(store.connected()).toBe(false)
    await store.connect()
    expect(store.describe().version).toMatch(/^\d+\.\d+/)
    expect(store.connected()).toBe(true)
  })

  it("has one connection until something waits, reads or listens, and then four", async () => {
    const { store, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const names = async () => (String(await raw.client("LIST")).match(/name=taskora:\w+/g) ?? []).sort()
    expect(await names()).toEqual(["name=taskora:commands"])
    const keys = Array.from({ length: 1_000 }, (_, i) => `${prefix}:taskora:{t${i}}:x`)
    await Promise.all([
      store.readStreams(new Map(keys.map((key) => [key, "0-0"])), 1, 10),
      store.waitForWork(keys, 1),
      store.subscribe(keys.slice(0, 10)),
    ])
    expect(await names()).toEqual([
      "name=taskora:blocking",
      "name=taskora:commands",
      "name=taskora:reader",
      "name=taskora:subscriber",
    ])
    await store.close()
    await until(async () => (await names()).length === 0)
  })

  it("reads streams after the positions given, at most `count` entries of each", async () => {
    const { store, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const [a, b] = [`${prefix}:taskora:{a}:events`, `${prefix}:taskora:{b}:events`]
    for (const n of [1, 2, 3]) await raw.xadd(a, `${n}-0`, "e", `a${n}`)
    await raw.xadd(b, "1-0", "foreign", "x")
    const positions = new Map([
      [a, "1-0"],
      [b, "0-0"],
    ])
    expect(await store.readStreams(positions, 1, 1)).toEqual([
      { key: a, entries: [["2-0", "a2"]] },
      { key: b, entries: [["1-0", ""]] },
    ])
    expect(await store.readStreams(new Map([[a, "3-0"]]), 1, 10)).toEqual([])
  })

  it("serves every wake key in turn, though all have markers all the time", async () => {
    const { store, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const [a, b, c] = ["a", "b", "c"].map((name) => `${prefix}:taskora:{${name}}:wake`) as [
      string,
      string,
      string,
    ]
    const served: string[] = []
    // `a` is not always waited for: a rotation by position alone would leave `c` out.
    for (const keys of [
      [a, b, c],
      [b, c],
      [a, c],
      [a, b, c],
      [b, c],
      [a, b],
    ]) {
      for (const key of [a, b, c]) await raw.zadd(key, 0, "w")
      served.push(...(await store.waitForWork(keys, 1_000)))
    }
    expect(served).toEqual([a, b, c, a, b, a])
  })

  it("takes the marker, and returns undefined where there is none", async () => {
    const { store, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const key = `${prefix}:taskora:{a}:wake`
    await raw.zadd(key, 0, "w")
    expect(await store.waitForWork([key], 0)).toEqual([key])
    expect(await store.waitForWork([key], 0)).toEqual([])
    expect(await store.waitForWork([key], -5)).toEqual([])
    expect(await store.waitForWork([], 1)).toEqual([])
  })

  it("hears messages on channels, also those subscribed to later", async () => {
    const { store, heard } = await connectStore(server.url)
    const raw = rawClient(server.url)
    await store.subscribe(["one"])
    await store.subscribe(["two", "three"])
    await store.subscribe([])
    await raw.publish("one", "1")
    await raw.publish("three", "3")
    await until(() => heard.messages.length === 2)
    expect(heard.messages).toEqual(["one 1", "three 3"])
  })
})
