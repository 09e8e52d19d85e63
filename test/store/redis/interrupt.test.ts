import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { Interrupt } from "../../../src/store/redis/interrupt.ts"
import { startProxy } from "../../support/proxy.ts"
import { type RedisServer, redisAvailable, startRedis } from "../../support/redis-server.ts"
import { blocked, connectStore, rawClient } from "./support.ts"

/** Far beyond a test's timeout: a wait that is not interrupted fails its test. */
const forEver = 600_000

describe("an interrupt", () => {
  it("is remembered between calls, poked once during one, and served by whatever ends the call", async () => {
    const pokes: number[] = []
    const interrupt = new Interrupt((number) => pokes.push(number))
    interrupt.raise()
    interrupt.raise()
    expect(await interrupt.during(async () => "waited")).toBeUndefined()
    const asked = await interrupt.during(async () => {
      interrupt.raise()
      interrupt.raise()
      return interrupt.seen
    })
    expect(asked).toBe(2)
    expect(pokes).toEqual([3])
    expect(await interrupt.during(async () => "waited")).toBe("waited")
    await expect(interrupt.during(() => Promise.reject(new Error("lost")))).rejects.toThrow("lost")
    expect(await interrupt.during(async () => interrupt.seen)).toBe(4)
  })
})

describe.skipIf(!redisAvailable())("interrupting a blocking call", () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  it("wakes it, the next one, and not the one after", async () => {
    const { store, prefix } = await connectStore(server.url)
    const raw = rawClient(server.url)
    const [wake, events] = [`${prefix}:taskora:{a}:wake`, `${prefix}:taskora:{a}:events`]
    const wait = (ms = forEver) => store.waitForWork([wake], ms)
    const read = (ms = forEver) => store.readStreams(new Map([[events, "0-0"]]), ms, 1)
    for (let round = 0; round < 3; round++) {
      const calls = [wait(), read()]
      await blocked(raw, 2)
      store.interruptWait()
      store.interruptRead()
      expect(await Promise.all(calls)).toEqual([[], []])
      store.interruptWait()
      store.interruptRead()
      expect(await Promise.all([wait(), read()])).toEqual([[], []])
      const later = [wait(), read()]
      await blocked(raw, 2)
      await raw.zadd(wake, 0, "w")
      await raw.xadd(events, "1-0", "e", "x")
      expect(await Promise.all(later)).toEqual([[wake], [{ key: events, entries: [["1-0", "x"]] }]])
      await raw.del(events)
    }
  })

  it("wakes it also when the server sees the interrupt first", async () => {
    const proxy = await startProxy(server.port)
    onTestFinished(() => proxy.stop())
    const { store } = await connectStore(proxy.url)
    await Promise.all([store.waitForWork([], 1), store.readStreams(new Map(), 1, 1)])
    proxy.delayMs = (chunk) => (/xread|bzpopmin/.test(String(chunk)) ? 200 : 0)
    const calls = [store.waitForWork([], forEver), store.readStreams(new Map(), forEver, 1)]
    setImmediate(() => {
      store.interruptWait()
      store.interruptRead()
    })
    expect(await Promise.all(calls)).toEqual([[], []])
  })

  it("wakes it at any instant", async () => {
    const { store } = await connectStore(server.url)
    for (let round = 0; round < 200; round++) {
      const calls = [store.waitForWork([], forEver), store.readStreams(new Map(), forEver, 1)]
      const interrupt = () => {
        store.interruptWait()
        store.interruptRead()
      }
      for (let turns = round % 8; turns > 0; turns--) await new Promise(setImmediate)
      interrupt()
      expect(await Promise.all(calls)).toEqual([[], []])
    }
  })
})
