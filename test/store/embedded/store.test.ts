import { describe, expect, test } from "vitest"
import { memoryAdapter } from "../../../src/store/embedded/adapter.ts"
import { Engine } from "../../../src/store/embedded/engine.ts"
import { type Store, StoreError, type StoreListeners } from "../../../src/store/store.ts"
import { manualClock } from "../../support/manual-clock.ts"
import { silent, source } from "./hosts.ts"

const add = source("return redis.call('XADD', KEYS[1], '*', 'e', ARGV[1])")
const mark = source("return redis.call('ZADD', KEYS[1], 1, 'x')")
const publish = source("return redis.call('PUBLISH', ARGV[1], ARGV[2])")

async function opened(listeners: StoreListeners = silent) {
  const clock = manualClock()
  const adapter = memoryAdapter({ clock })
  const store = adapter.open("one", listeners)
  await store.connect()
  return { clock, adapter, store }
}

async function another(adapter: ReturnType<typeof memoryAdapter>, listeners = silent): Promise<Store> {
  const store = adapter.open("another", listeners)
  await store.connect()
  return store
}

/** The word "pending" if the promise has not settled by now. */
function soon<T>(promise: Promise<T>): Promise<T | "pending"> {
  return Promise.race([promise, new Promise<"pending">((resolve) => setImmediate(() => resolve("pending")))])
}

describe("memoryAdapter", () => {
  test.each([
    [{ perfix: "x" }, 'memoryAdapter: there is no option "perfix"; did you mean "prefix"?'],
    ["shop", "memoryAdapter must be an object"],
    [null, "memoryAdapter must be an object"],
    [{ prefix: "a{b}" }, "prefix"],
    [{ prefix: 5 }, "prefix 5 is not allowed"],
  ])("refuses the options %j", (options, message) => {
    const refused = expect.objectContaining({ code: "INVALID", message: expect.stringContaining(message) })
    expect(() => memoryAdapter(options as never)).toThrow(refused)
  })

  test("shares one keyspace among its stores, and with no other adapter", async () => {
    const { adapter, store } = await opened()
    const other = await another(adapter)
    await store.run(source("return redis.call('SET', KEYS[1], ARGV[1])"), ["k"], ["ü\0"])
    const get = source("return redis.call('GET', KEYS[1])")
    expect(await other.run(get, ["k"], [])).toBe("ü\0")
    expect(adapter.command(["GET", "k"])).toBe("ü\0")
    expect(await (await opened()).store.run(get, ["k"], [])).toBeNull()
  })

  test("keeps its data when every store has been closed", async () => {
    const { adapter, store } = await opened()
    await store.run(mark, ["z"], [])
    await store.close()
    expect(adapter.command(["ZCARD", "z"])).toBe(1)
    expect(await (await another(adapter)).waitForWork(["z"], 10)).toEqual(["z"])
  })

  test("describes itself, and has the prefix and clock it was given", async () => {
    const clock = manualClock()
    const adapter = memoryAdapter({ clock, prefix: "p" })
    expect(adapter).toMatchObject({ kind: "memory", prefix: "p", clock })
    expect(adapter.open("i", silent).describe()).toEqual({ product: "memory", version: "7.0.15" })
  })
})

describe("run", () => {
  test("answers later than it is called", async () => {
    const { store } = await opened()
    let answered = false
    const running = store.run(source("return 1"), [], []).then(() => {
      answered = true
    })
    expect(answered).toBe(false)
    await running
  })

  test("rejects errors of the script as refused, with the server's words", async () => {
    const { store } = await opened()
    const failing = store.run(source("return redis.error_reply('MYCODE x')"), [], [])
    await expect(failing).rejects.toThrow(StoreError)
    await expect(failing).rejects.toMatchObject({ fate: "refused", message: "MYCODE x" })
  })

  test("is unsent before connect and after close", async () => {
    const store = memoryAdapter().open("one", silent)
    await expect(store.run(source("return 1"), [], [])).rejects.toMatchObject({ fate: "unsent" })
    expect(store.connected()).toBe(false)
    await store.connect()
    expect(store.connected()).toBe(true)
    await store.close()
    await store.close()
    expect(store.connected()).toBe(false)
    await expect(store.run(source("return 1"), [], [])).rejects.toMatchObject({ fate: "unsent" })
    await expect(store.connect()).rejects.toMatchObject({ fate: "unsent" })
  })

  test("leaves timers their turn during a long row of calls", async () => {
    const { store } = await opened()
    let turned = false
    setImmediate(() => {
      turned = true
    })
    let calls = 0
    while (!turned && calls < 10_000) {
      await store.run(source("return 1"), [], [])
      calls++
    }
    expect(calls).toBeLessThan(10_000)
  })

  test("sees one time during a script, and the clock's", async () => {
    const { clock, store } = await opened()
    clock.setNow(1_234_567)
    const time = source("local t = redis.call('TIME') return { t[1], t[2] }")
    expect(await store.run(time, [], [])).toEqual(["1234", "567000"])
  })
})

describe("waitForWork", () => {
  test("takes a marker that is there, of the first key in the order given", async () => {
    const { adapter, store } = await opened()
    for (const key of ["b", "a", "c"]) await store.run(mark, [key], [])
    expect(await store.waitForWork(["none", "a", "b"], 1000)).toEqual(["a"])
    expect(adapter.command(["KEYS", "*"])).toEqual(["b", "c"])
  })

  test("awakes when a script has written a marker, and takes it", async () => {
    const { adapter, clock, store } = await opened()
    const waiting = store.waitForWork(["a", "b"], 1000)
    expect(await soon(waiting)).toBe("pending")
    await store.run(mark, ["b"], [])
    expect(await waiting).toEqual(["b"])
    expect(adapter.command(["EXISTS", "b"])).toBe(0)
    expect(clock.pending()).toBe(0)
  })

  test("is not awakened by a marker that the same script takes away again", async () => {
    const { store } = await opened()
    const waiting = store.waitForWork(["a"], 1000)
    await store.run(source("redis.call('ZADD', KEYS[1], 1, 'x') redis.call('ZREM', KEYS[1], 'x')"), ["a"], [])
    expect(await soon(waiting)).toBe("pending")
    await store.run(mark, ["a"], [])
    expect(await waiting).toEqual(["a"])
  })

  test("serves who waited first, one waiter a marker", async () => {
    const { adapter, store } = await opened()
    const other = await another(adapter)
    const first = other.waitForWork(["a"], 1000)
    const second = store.waitForWork(["a"], 1000)
    await store.run(mark, ["a"], [])
    expect(await first).toEqual(["a"])
    expect(await soon(second)).toBe("pending")
    await store.run(mark, ["a"], [])
    expect(await second).toEqual(["a"])
  })

  test("ends after blockMs of the clock's time", async () => {
    const { clock, store } = await opened()
    const waiting = store.waitForWork(["a"], 1000)
    await clock.advance(999)
    expect(await soon(waiting)).toBe("pending")
    await clock.advance(1)
    expect(await waiting).toEqual([])
  })

  test("is awakened also after a script that failed once it had written", async () => {
    const { store } = await opened()
    const waiting = store.waitForWork(["a"], 1000)
    const failing = store.run(source("redis.call('ZADD', KEYS[1], 1, 'x') error('after')"), ["a"], [])
    await expect(failing).rejects.toThrow("after")
    expect(await waiting).toEqual(["a"])
  })

  test("is interrupted under way, or the next time, once", async () => {
    const { clock, store } = await opened()
    const waiting = store.waitForWork(["a"], 1000)
    store.interruptWait()
    expect(await waiting).toEqual([])
    expect(clock.pending()).toBe(0)
    store.interruptWait()
    expect(await store.waitForWork(["a"], 1000)).toEqual([])
    const next = store.waitForWork(["a"], 1000)
    store.interruptRead()
    expect(await soon(next)).toBe("pending")
    await store.run(mark, ["a"], [])
    expect(await next).toEqual(["a"])
  })
})

describe("readStreams", () => {
  test("reads what is there after the positions, at most count of each", async () => {
    const { clock, store } = await opened()
    clock.setNow(5)
    for (const text of ["1", "2", "ü"]) await store.run(add, ["s"], [text])
    await store.run(add, ["t"], ["x"])
    expect(
      await store.readStreams(
        new Map([
          ["s", "5-0"],
          ["t", "0"],
          ["none", "0-0"],
        ]),
        1000,
        10,
      ),
    ).toEqual([
      {
        key: "s",
        entries: [
          ["5-1", "2"],
          ["5-2", "ü"],
        ],
      },
      { key: "t", entries: [["5-0", "x"]] },
    ])
    const [chunk] = await store.readStreams(new Map([["s", "0-0"]]), 1000, 2)
    expect(chunk?.entries).toHaveLength(2)
  })

  test("awakes for an entry, and not for one that is no later", async () => {
    const { clock, store } = await opened()
    clock.setNow(5)
    const later = store.readStreams(new Map([["s", "5-0"]]), 1000, 10)
    await store.run(add, ["s"], ["1"])
    expect(await soon(later)).toBe("pending")
    await store.run(add, ["s"], ["2"])
    expect(await later).toEqual([{ key: "s", entries: [["5-1", "2"]] }])
  })

  test("serves every reader", async () => {
    const { adapter, store } = await opened()
    const other = await another(adapter)
    const reads = [store, other].map((each) => each.readStreams(new Map([["s", "0-0"]]), 1000, 10))
    await store.run(add, ["s"], ["1"])
    expect((await Promise.all(reads)).map((chunks) => chunks.length)).toEqual([1, 1])
  })

  test("ends empty after blockMs, or when interrupted", async () => {
    const { clock, store } = await opened()
    const waiting = store.readStreams(new Map([["s", "0-0"]]), 1000, 10)
    await clock.advance(1000)
    expect(await waiting).toEqual([])
    const next = store.readStreams(new Map(), 1000, 10)
    expect(await soon(next)).toBe("pending")
    store.interruptRead()
    expect(await next).toEqual([])
  })

  test("ids never go back, whatever the clock does", async () => {
    const { clock, store } = await opened()
    clock.setNow(1000)
    expect(await store.run(add, ["s"], ["1"])).toBe("1000-0")
    clock.setNow(900)
    expect(await store.run(add, ["s"], ["1"])).toBe("1000-1")
    clock.setNow(1001)
    expect(await store.run(add, ["s"], ["1"])).toBe("1001-0")
  })

  test("rejects a key of another type", async () => {
    const { store } = await opened()
    await store.run(mark, ["z"], [])
    await expect(store.readStreams(new Map([["z", "0-0"]]), 1000, 10)).rejects.toThrow("WRONGTYPE")
  })
})

describe("subscribe", () => {
  test("delivers to every subscriber after the script, and PUBLISH counts them", async () => {
    const heard: string[] = []
    const listeners = (name: string) => ({
      ...silent,
      message: (c: string, t: string) => heard.push(`${name} ${c} ${t}`),
    })
    const { adapter, store } = await opened(listeners("one") as StoreListeners)
    const other = await another(adapter, listeners("two") as StoreListeners)
    await store.subscribe(["c", "ü"])
    await other.subscribe(["c"])
    expect(await store.run(publish, [], ["c", "1"])).toBe(2)
    expect(await store.run(publish, [], ["ü", "€"])).toBe(1)
    expect(await store.run(publish, [], ["none", "3"])).toBe(0)
    expect(heard).toEqual(["one c 1", "two c 1", "one ü €"])
    await other.close()
    expect(await store.run(publish, [], ["c", "4"])).toBe(1)
    expect(heard.at(-1)).toBe("one c 4")
  })
})

describe("close", () => {
  test("rejects its own waits as unanswered and leaves the others' alone", async () => {
    const { adapter, clock, store } = await opened()
    const other = await another(adapter)
    const own = [store.waitForWork(["a"], 1000), store.readStreams(new Map([["s", "0-0"]]), 1000, 1)]
    const others = other.waitForWork(["a"], 1000)
    const rejected = Promise.allSettled(own)
    await store.close()
    for (const result of await rejected)
      expect(result).toMatchObject({ status: "rejected", reason: { fate: "unanswered" } })
    expect(await soon(others)).toBe("pending")
    await other.run(mark, ["a"], [])
    expect(await others).toEqual(["a"])
    expect(clock.pending()).toBe(0)
  })

  test("rejects a run whose answer had not arrived", async () => {
    const { store } = await opened()
    const running = store.run(source("return 1"), [], [])
    await store.close()
    await expect(running).rejects.toMatchObject({ fate: "unanswered" })
  })
})

describe("memory", () => {
  test("a day of jobs leaves nothing behind", async () => {
    const clock = manualClock()
    const engine = new Engine(clock)
    await engine.load()
    const life = source(`
      local id = ARGV[1]
      redis.call('HSET', KEYS[1] .. id, 'id', id, 'data', string.rep('x', 50))
      redis.call('LPUSH', KEYS[2], id)
      redis.call('RPOP', KEYS[2])
      redis.call('ZADD', KEYS[3], tonumber(ARGV[2]) + 1000, id)
      redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[2])
      redis.call('PEXPIRE', KEYS[1] .. id, 60000)
      redis.call('SET', KEYS[1] .. 'last:' .. id, id, 'PX', 1000)
      redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'e', id)
      return 1`)
    const keys = ["job:", "waiting", "delayed", "events"]
    const step = () => clock.setNow(clock.now() + 10)
    for (let job = 0; job < 7_000; job++, step()) engine.run(life, keys, [`id${job}`, clock.now()])
    const [lua, entries] = [engine.luaMemory(), engine.keyspace.keys().length]
    for (let job = 0; job < 30_000; job++, step()) engine.run(life, keys, [`id${job}`, clock.now()])
    expect(engine.keyspace.keys().length).toBeLessThanOrEqual(entries + 200)
    expect(engine.luaMemory()).toBeLessThan(lua * 1.1)
    expect(engine.command(["XLEN", "events"])).toBeLessThanOrEqual(1100)
    expect(engine.command(["LLEN", "waiting"])).toBe(0)
  })

  test("a key is there until its last ms, and a new one does not inherit its deadline", async () => {
    const { adapter, clock } = await opened()
    const later = (ms: number) => clock.setNow(clock.now() + ms)
    adapter.command(["SET", "k", "x", "PX", "10"])
    later(10)
    expect(adapter.command(["PTTL", "k"])).toBe(0)
    later(1)
    expect(adapter.command(["EXISTS", "k"])).toBe(0)
    for (const key of ["deleted", "set", "popped"]) adapter.command(["SET", key, "x", "PX", "10"])
    adapter.command(["DEL", "deleted", "popped"])
    adapter.command(["RPUSH", "popped", "x"])
    adapter.command(["PEXPIRE", "popped", "10"])
    adapter.command(["LPOP", "popped"])
    for (const key of ["deleted", "set", "popped"]) adapter.command(["SET", key, "y"])
    later(20)
    expect(adapter.command(["EXISTS", "deleted", "set", "popped"])).toBe(3)
  })

  test("keys that expired untouched are cleared away by later calls", async () => {
    const { adapter, clock } = await opened()
    const engine = new Engine(clock)
    for (let key = 0; key < 1000; key++) engine.command(["SET", `k${key}`, "x", "PX", "5"])
    clock.setNow(clock.now() + 10)
    for (let call = 0; call < 5; call++) engine.command(["TIME"])
    expect(engine.keyspace.size).toBe(0)
    expect(adapter.command(["KEYS", "*"])).toEqual([])
  })
})
