import { Cluster, Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest"
import { redisAdapter } from "../../../src/redis.ts"
import { resolveCluster } from "../../../src/store/redis/cluster/target.ts"
import { resolveTarget } from "../../../src/store/redis/target.ts"
import { type RedisServer, redisAvailable, startRedis } from "../../support/redis-server.ts"
import { connectStore, lua, openStore, rawClient } from "./support.ts"

const secret = "hunter2hunter2"

function refusal(...args: unknown[]): Error & { code?: string } {
  try {
    Reflect.apply(redisAdapter, undefined, args)
  } catch (error) {
    return error as Error
  }
  throw new Error("it was accepted")
}

describe("redisAdapter", () => {
  it("takes a URL, options or a client, and opens nothing yet", () => {
    const client = new Redis({ lazyConnect: true })
    for (const from of ["redis://localhost", { host: "localhost" }, client, {}]) {
      expect(redisAdapter(from)).toMatchObject({ kind: "redis", prefix: "" })
    }
    expect(redisAdapter("rediss://h", { prefix: "shop" }).prefix).toBe("shop")
    expect(client.status).toBe("wait")
  })

  it.each([
    ["localhost:6379", /redis:\/\/ or rediss:\/\//],
    [`http://u:${secret}@localhost`, /redis:\/\/ or rediss:\/\//],
    [`redis://u:${secret}@local host`, /cannot be read/],
    [`redis://u:${secret}@h:99999`, /cannot be read/],
    [`redis://u:${secret}%zz@h`, /% in the user or password/],
    [`redis://u:${secret}@h/one`, /number of a database/],
    [`redis://u:${secret}@h/0/1`, /number of a database/],
    [`redis://u:${secret}@h?keyPrefix=x`, /parameter "keyPrefix"/],
  ])("refuses %s, without its password", (url, message) => {
    const error = refusal(url)
    expect(error).toMatchObject({ name: "TaskoraError", code: "INVALID" })
    expect(error.message).toMatch(message)
    expect(`${error.message} ${error.stack} ${error.cause}`).not.toContain(secret)
  })

  it.each([[undefined], [null], [6379], [true], [() => {}]])("refuses %s for a server", (from) => {
    expect(refusal(from)).toMatchObject({ code: "INVALID" })
  })

  it.each([[0], [-1], [1.5], [70_000], ["x"]])("refuses the port %s", (port) => {
    expect(refusal({ port }).message).toMatch(/not a port number/)
  })

  it("refuses unknown options and prefixes with braces", () => {
    expect(refusal("redis://h", { prefx: "a" }).message).toMatch(/"prefx".*"prefix"/)
    expect(refusal("redis://h", "shop")).toMatchObject({ code: "INVALID" })
    expect(refusal("redis://h", { prefix: "a{b}" }).message).toMatch(/prefix/)
  })

  it.each([[["redis://u:p%40@a:1", "b:2"]], [[{ host: "a", port: 1 }, "redis://b:2"]]])(
    "takes some nodes of a cluster: %j",
    (nodes) => {
      const target = resolveCluster({ nodes, connectionName: "shop" })
      expect(target).toMatchObject({
        address: "a",
        port: 1,
        seeds: [
          { host: "a", port: 1 },
          { host: "b", port: 2 },
        ],
      })
      expect(redisAdapter({ nodes }, { prefix: "shop" })).toMatchObject({ kind: "redis", prefix: "shop" })
    },
  )

  it("connects to every node of a cluster as the first URL says, or as the options say", async () => {
    const nodes = ["rediss://u:p%40@a:1", "redis://b:2"]
    const client = await resolveCluster({ nodes })!.node({ host: "c", port: 3 }).client("test")
    expect(client.options).toMatchObject({ host: "c", port: 3, username: "u", password: "p@", tls: {} })
    const other = await resolveCluster({ nodes, username: "v", tls: { servername: "x" } })!
      .node({ host: "c", port: 3 })
      .client("test")
    expect(other.options).toMatchObject({ username: "v", password: "p@", tls: { servername: "x" } })
  })

  it("takes a Cluster of ioredis for a template, with its options for each node and its map of addresses", async () => {
    const natMap = { "10.0.0.1:6379": { host: "outside", port: 7001 } }
    const given = new Cluster([{ host: "a", port: 1 }, "redis://b:2", 7000], {
      lazyConnect: true,
      redisOptions: { password: secret },
      natMap,
    })
    const target = resolveCluster(given)!
    expect(target.seeds).toEqual([
      { host: "a", port: 1 },
      { host: "b", port: 2 },
      { host: "127.0.0.1", port: 7000 },
    ])
    expect(target.reach({ host: "10.0.0.1", port: 6379 })).toEqual({ host: "outside", port: 7001 })
    expect(target.reach({ host: "10.0.0.2", port: 6379 })).toEqual({ host: "10.0.0.2", port: 6379 })
    const client = await target.node({ host: "c", port: 3 }).client("test")
    expect(client.options.password).toBe(secret)
    expect(redisAdapter(given).slotOf).toBeDefined()
    expect(given.status).toBe("wait")
  })

  it.each([
    [{ nodes: [] }, /nodes is empty/],
    [{ nodes: "redis://h" }, /nodes must be a list/],
    [{ nodes: [true] }, /neither a URL nor/],
    [{ nodes: [{ port: -1 }] }, /not a port number/],
    [{ nodes: ["redis://h/3"] }, /database 0 only/],
    [{ nodes: ["redis://h"], db: 1 }, /database 0 only/],
    [{ nodes: ["redis://h"], keyPrefix: "a:" }, /keyPrefix/],
    [new Cluster([{ port: 1 }], { lazyConnect: true, redisOptions: { keyPrefix: "a:" } }), /keyPrefix/],
  ])("refuses the cluster %j", (from, message) => {
    expect(refusal(from)).toMatchObject({ code: "INVALID", message: expect.stringMatching(message) })
  })

  it("refuses a keyPrefix, of options and of a client, and says what to use", () => {
    const client = new Redis({ lazyConnect: true, keyPrefix: "shop:" })
    for (const from of [{ keyPrefix: "shop:" }, client]) {
      expect(refusal(from).message).toMatch(/keyPrefix "shop:" cannot be used.*\{ prefix: "shop" \}/)
    }
  })

  it("reads everything that a URL says", () => {
    const store = (url: string) => openStore(url).store.describe()
    expect(store("redis://")).toMatchObject({ address: "localhost", port: 6379 })
    expect(store("rediss://u:p%40@[::1]:7000/2?family=6")).toMatchObject({ address: "::1", port: 7000 })
  })

  it("makes clients that keep nothing for later", async () => {
    const client = await resolveTarget("redis://127.0.0.1:1").client("test")
    client.on("error", () => {
      // Nobody listens there.
    })
    await expect(client.get("a")).rejects.toThrow(/isn't writeable/)
  })

  it("says how to get ioredis where it is missing", async () => {
    vi.doMock("ioredis", () => {
      throw Object.assign(new Error("Cannot find package 'ioredis'"), { code: "ERR_MODULE_NOT_FOUND" })
    })
    onTestFinished(() => {
      vi.doUnmock("ioredis")
    })
    await expect(openStore("redis://localhost").store.connect()).rejects.toThrow(/npm install ioredis/)
  })
})

describe.skipIf(!redisAvailable())("redisAdapter with a client", () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  it("takes the client's options for connections of its own, and never closes or uses it", async () => {
    const given = new Redis(server.url, {
      lazyConnect: true,
      db: 3,
      connectionName: "shop",
      commandTimeout: 300,
    })
    const { store } = await connectStore(given)
    const set = lua("set", "return redis.call('SET', KEYS[1], '1')")
    expect(await store.run(set, ["here"], [])).toBe("OK")
    expect(given.status).toBe("wait")

    const raw = rawClient(`${server.url}/3`)
    expect(await raw.get("here")).toBe("1")
    expect(String(await raw.client("LIST"))).toContain("name=shop:commands")
    // Its own limits are not ours: this wait is longer than its commandTimeout.
    expect(await store.waitForWork([], 600)).toEqual([])
    await given.connect()
    await store.close()
    expect(await given.client("GETNAME")).toBe("shop")
    given.disconnect()
  })
})
