import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { type Authority, makeAuthority } from "../support/certificates.ts"
import { testApps } from "../support/hosts.ts"
import { freePort, type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"

const password = "hunter2hunter2"

describe.skipIf(!redisAvailable())("a server that speaks TLS", () => {
  const app = testApps()
  let authority: Authority
  let stranger: Authority
  let right: RedisServer & { tls: number }
  let misnamed: RedisServer & { tls: number }
  beforeAll(async () => {
    ;[authority, stranger] = await Promise.all([makeAuthority(), makeAuthority()])
    right = await start(authority, "IP:127.0.0.1,DNS:localhost")
    misnamed = await start(authority, "DNS:redis.example.com")
  })
  afterAll(async () => {
    await Promise.all([right, misnamed].map((server) => server.stop()))
    await Promise.all([authority, stranger].map((one) => one.remove()))
  })

  async function start(by: Authority, names: string): Promise<RedisServer & { tls: number }> {
    const { cert, key } = await by.issue(names)
    const tls = await freePort()
    const server = await startRedis({
      args: [
        ...["--tls-port", String(tls), "--tls-cert-file", cert, "--tls-key-file", key],
        ...[
          "--tls-ca-cert-file",
          by.caFile,
          "--tls-auth-clients",
          "no",
          "--user",
          "app",
          "on",
          `>${password}`,
          "~*",
          "&*",
          "+@all",
        ],
      ],
    })
    return { ...server, tls }
  }

  const failure = (from: Parameters<typeof redisAdapter>[0]) =>
    app({ adapter: redisAdapter(from) }, true)
      .start()
      .then(
        () => Promise.reject(new Error("it started")),
        (error: Error) => error,
      )

  it("is worked with, on every connection", async () => {
    const adapter = redisAdapter(
      { host: "127.0.0.1", port: right.tls, username: "app", password, tls: { ca: authority.ca } },
      { prefix: "tls" },
    )
    const taskora = app({ adapter })
    const task = taskora.task<number, number>("work", async (n) => n + 1)
    await taskora.start()
    expect(await task.dispatch(1).result).toBe(2)
    expect(await Promise.all([1, 2, 3].map((n) => task.dispatch(n, { delay: 5 }).result))).toEqual([2, 3, 4])
  })

  it.each<[string, () => Parameters<typeof redisAdapter>[0], RegExp]>([
    [
      "is signed by nobody we know",
      () => ({ host: "127.0.0.1", port: right.tls, username: "app", password, tls: { ca: stranger.ca } }),
      /^cannot reach Redis at 127.0.0.1:\d+: .*(unable to verify|self-signed certificate|signature failure)/,
    ],
    [
      "is signed by nobody we know, by a URL",
      () => `rediss://app:${password}@127.0.0.1:${right.tls}`,
      /^cannot reach Redis at 127.0.0.1:\d+: .*(unable to (verify|get)|self-signed certificate)/,
    ],
    [
      "is another host's",
      () => ({ host: "127.0.0.1", port: misnamed.tls, username: "app", password, tls: { ca: authority.ca } }),
      /^cannot reach Redis at 127.0.0.1:\d+: .*(does not match certificate|not in the cert)/i,
    ],
    [
      "is a plain port",
      () => `rediss://app:${password}@127.0.0.1:${right.port}`,
      /^cannot reach Redis at 127.0.0.1:\d+: no answer within 4.8 s; does this port speak TLS\?$/,
    ],
    [
      "is not asked for",
      () => `redis://app:${password}@127.0.0.1:${right.tls}`,
      /^cannot reach Redis at 127.0.0.1:\d+: .*(the connection was closed; does it want TLS \(rediss:\/\/\)\?|ECONNRESET)/,
    ],
  ])("says what is wrong where it %s, without the password", async (_, from, message) => {
    const error = await failure(from())
    expect(error).toMatchObject({ name: "ConnectionError", code: "CONNECTION" })
    expect(error.message).toMatch(message)
    const shown = `${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`
    expect(shown).not.toContain(password)
  })
})
