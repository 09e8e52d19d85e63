import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { connect as connectSocket, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createServer as createTlsServer } from "node:tls"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest"
import { ruleName, sampleCalls } from "../../../src/store/redis/commands.ts"
import { startProxy } from "../../support/proxy.ts"
import { type RedisServer, redisAvailable, startRedis } from "../../support/redis-server.ts"
import { connectStore, failureOf, lua, openStore, rawClient, until } from "./support.ts"

const secret = "hunter2hunter2"
const worker = { use: "work", tasks: ["a"] } as const
const write = lua("write", "return redis.call('SET', KEYS[1], '1')")

describe.skipIf(!redisAvailable())("connecting to Redis", () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  const withUser = (user: string) => server.url.replace("redis://", `redis://${user}:${secret}@`)

  async function refusal(
    url: string,
    prefix?: string,
  ): Promise<Error & { code: string; missing?: string[] }> {
    const { store } = openStore(url, prefix === undefined ? {} : { prefix })
    return store.connect(worker).then(
      () => Promise.reject(new Error("it connected")),
      (error) => error,
    )
  }

  it("says where there is no server, and connects when there is one", async () => {
    const gone = await startRedis()
    await gone.stop()
    const proxy = await startProxy(server.port)
    onTestFinished(() => proxy.stop())
    proxy.refusing = true
    const { store, heard } = openStore(proxy.url)
    const [unreachable, refusedByProxy] = await Promise.all([
      refusal(gone.url),
      store.connect().catch((error) => error),
    ])
    expect(unreachable).toMatchObject({ name: "ConnectionError", code: "CONNECTION" })
    expect(unreachable.message).toBe(
      `cannot reach Redis at 127.0.0.1:${gone.port}: connect ECONNREFUSED 127.0.0.1:${gone.port}`,
    )
    expect(refusedByProxy).toMatchObject({ code: "CONNECTION" })
    expect((await failureOf(store.run(write, ["k"], []))).fate).toBe("unsent")

    proxy.refusing = false
    await store.connect()
    expect(store.connected()).toBe(true)
    await store.connect()
    expect(heard).toMatchObject({ lost: [], back: 0 })
  }, 20_000)

  it("gives up on a server that accepts and says nothing", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1")
    onTestFinished(() => void silent.close())
    await until(() => silent.listening)
    const { port } = silent.address() as { port: number }
    expect((await refusal(`redis://127.0.0.1:${port}`)).message).toBe(
      `cannot reach Redis at 127.0.0.1:${port}: no answer within 4.8 s`,
    )
  }, 20_000)

  it("refuses a wrong password, an unknown user and a missing password at once, without telling the secret", async () => {
    const own = await startRedis()
    onTestFinished(() => own.stop())
    await rawClient(own.url).config("SET", "requirepass", "right")
    const wrong = await refusal(own.url.replace("redis://", `redis://:${secret}@`))
    const none = await refusal(own.url)
    for (const error of [wrong, none, await refusal(withUser("nobody"))]) {
      expect(error).toMatchObject({ name: "ConnectionError", code: "CONNECTION" })
      expect(error.message).toMatch(/refused the user or password/)
      expect(shown(error)).not.toContain(secret)
    }
    expect(wrong.message).toContain("WRONGPASS")
    expect(none.message).toContain("NOAUTH")
  })

  it("refuses a database that does not exist, instead of using database 0", async () => {
    expect((await refusal(`${server.url}/99`)).message).toMatch(/DB index is out of range/)
  })

  it("speaks TLS, and says why it cannot", async () => {
    const certificate = await selfSigned()
    const tls = createTlsServer(certificate, (socket) => {
      const plain = connectSocket(server.port, "127.0.0.1")
      socket.pipe(plain).pipe(socket)
      socket.on("error", () => plain.destroy())
    }).listen(0, "127.0.0.1")
    onTestFinished(() => void tls.close())
    await until(() => tls.listening)
    const { port } = tls.address() as { port: number }

    const untrusted = await refusal(`rediss://:${secret}@127.0.0.1:${port}`)
    expect(untrusted.message).toMatch(/cannot reach Redis .*self-signed certificate/)
    expect(shown(untrusted)).not.toContain(secret)
    const { store } = await connectStore({ host: "127.0.0.1", port, tls: { ca: certificate.cert } })
    expect(await store.run(write, ["tls"], [])).toBe("OK")
    await store.close()
  }, 20_000)

  it("names each command that the user may not run", async () => {
    const raw = rawClient(server.url)
    const names = sampleCalls({ use: "work" }, "k", "c").map(ruleName)
    expect(names.length).toBeGreaterThan(35)
    for (const name of names) {
      await raw.call("ACL", "SETUSER", "poor", "reset", "on", `>${secret}`, "~*", "&*", "+@all", `-${name}`)
      const error = await refusal(withUser("poor"))
      expect(error).toMatchObject({ name: "PermissionError", code: "PERMISSION" })
      // Without EVAL nothing more can be found out.
      expect(error.missing).toEqual(name === "eval" ? ["eval", "evalsha"] : [name])
      expect(error.message).toContain(`may not run ${name}`)
      expect(error.message).toContain(`+${name}`)
    }
  }, 30_000)

  it("names the keys and channels that the user may not use, under the prefix", async () => {
    const raw = rawClient(server.url)
    const setUser = (...rules: string[]) =>
      raw.call("ACL", "SETUSER", "narrow", "reset", "on", `>${secret}`, "+@all", ...rules)
    await setUser("~shop:taskora:*", "&shop:taskora:*")
    const { store } = openStore(withUser("narrow"), { prefix: "shop" })
    await store.connect(worker)

    const noKeys = await refusal(withUser("narrow"), "")
    expect(noKeys).toMatchObject({ missing: ["~taskora:*", "subscribe", "publish"] })
    expect(noKeys.message).toContain("add to its ACL: +subscribe +publish ~taskora:* &taskora:*")
    await setUser("~taskora:*", "resetchannels")
    expect(await refusal(withUser("narrow"), "")).toMatchObject({ missing: ["subscribe", "publish"] })
    await setUser("~shop:*", "&*")
    expect(await refusal(withUser("narrow"), "")).toMatchObject({ missing: ["~taskora:*"] })
  })

  it("names all commands where the keys are not what is missing", async () => {
    const raw = rawClient(server.url)
    await raw.call("ACL", "SETUSER", "bare", "reset", "on", `>${secret}`, "~*", "&*", "+eval")
    const { missing } = await refusal(withUser("bare"))
    expect(missing).toEqual(expect.arrayContaining(["evalsha", "xread", "hset", "time"]))
    expect(missing).not.toContain("~taskora:*")
  })

  it("does not go on trying after it has said no", async () => {
    const raw = rawClient(server.url)
    const connections = async () => /total_connections_received:(\d+)/.exec(await raw.info("stats"))?.[1]
    await refusal(withUser("nobody"))
    const before = await connections()
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(await connections()).toBe(before)
  })

  it("serves a user who may run nothing else", async () => {
    const raw = rawClient(server.url)
    const rules = sampleCalls({ use: "work" }, "k", "c").map((call) => `+${ruleName(call)}`)
    await raw.call("ACL", "SETUSER", "least", "reset", "on", `>${secret}`, "~least:*", "&least:*", ...rules)
    const { store, prefix } = openStore(withUser("least"), { prefix: "least" })
    await store.connect(worker)
    expect(store.describe()).toMatchObject({ product: "redis", version: "unknown" })
    await store.run(write, [`${prefix}:taskora:k`], [])
    const wait = store.waitForWork([], 60_000)
    const read = store.readStreams(new Map(), 60_000, 1)
    await until(async () => String(await raw.info("clients")).includes("blocked_clients:2"))
    store.interruptWait()
    store.interruptRead()
    expect([await wait, await read]).toEqual([[], []])
    await store.subscribe([`${prefix}:taskora:c`])
    expect(await failureOf(store.run(write, ["other"], []))).toMatchObject({
      fate: "refused",
      code: "NOPERM",
    })
    const writeElsewhere = lua("elsewhere", "return redis.call('SET', 'other', '1')")
    expect(await failureOf(store.run(writeElsewhere, [], []))).toMatchObject({
      fate: "refused",
      code: "NOPERM",
      message: expect.stringMatching(/^script "elsewhere": NOPERM .*keys?\b/),
    })
    await raw.call("ACL", "DELUSER", "least")
  })

  it("warns of a server that may evict jobs", async () => {
    const own = await startRedis({ args: ["--maxmemory-policy", "allkeys-lru"] })
    onTestFinished(() => own.stop())
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue()
    onTestFinished(() => warn.mockRestore())
    const { store } = await connectStore(own.url)
    await store.connect()
    expect(warn).toHaveBeenCalledExactlyOnceWith(
      expect.stringContaining('maxmemory-policy "allkeys-lru"'),
      expect.objectContaining({ code: "TASKORA_EVICTION" }),
    )
    await connectStore(server.url)
    expect(warn).toHaveBeenCalledOnce()
  })

  it("refuses a server of a cluster", async () => {
    const own = await startRedis({ args: ["--cluster-enabled", "yes"] })
    onTestFinished(() => own.stop())
    expect((await refusal(own.url)).message).toMatch(/redisAdapter\(\{ nodes: \["redis:/)
  })
})

/** The error as a log would show it, with its causes and properties. */
function shown(error: Error): string {
  return `${error.message} ${JSON.stringify(error, Object.getOwnPropertyNames(error))} ${String(error.cause)}`
}

async function selfSigned(): Promise<{ key: Buffer; cert: Buffer }> {
  const directory = await mkdtemp(join(tmpdir(), "taskora-tls-"))
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")]
  const words =
    "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
  await promisify(execFile)("openssl", [...words.split(" "), "-keyout", key, "-out", cert])
  const files = { key: await readFile(key), cert: await readFile(cert) }
  await rm(directory, { recursive: true })
  return files
}
