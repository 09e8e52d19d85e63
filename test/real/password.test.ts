import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { testApps, until } from "../support/hosts.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"

const first = "hunter2hunter2"
const second = "correct-horse"

describe.skipIf(!redisAvailable())("passwords", () => {
  const app = testApps()
  let server: RedisServer
  let admin: Redis
  beforeAll(async () => {
    server = await startRedis()
    admin = new Redis(server.url)
  })
  afterAll(async () => {
    admin.disconnect()
    await server.stop()
  })

  const url = (password: string) => server.url.replace("//", `//worker:${password}@`)
  const setUser = (...rules: string[]) => admin.call("ACL", "SETUSER", "worker", ...rules)

  it("that are wrong end the start at once, and are not shown", async () => {
    await setUser("reset", "on", `>${first}`, "~*", "&*", "+@all")
    const started = performance.now()
    const error = await app({ adapter: redisAdapter(url(second)) }, true)
      .start()
      .then(
        () => new Error("it started"),
        (reason: Error) => reason,
      )
    expect(error).toMatchObject({ name: "ConnectionError", code: "CONNECTION", refused: true })
    expect(error.message).toMatch(/refused the user or password: .*WRONGPASS/)
    expect(`${error.message} ${error.stack} ${JSON.stringify(error)}`).not.toContain(second)
    expect(performance.now() - started).toBeLessThan(4_000)
  })

  it("that are rotated under a running app: told once, and worked on when the old one counts again", async () => {
    await setUser("reset", "on", `>${first}`, "~*", "&*", "+@all")
    const taskora = app({ adapter: redisAdapter(url(first), { prefix: "rotated" }) }, true)
    const errors: Error[] = []
    taskora.on("worker:error", (error) => errors.push(error))
    const task = taskora.task<number, number>("work", async (n) => n + 1)
    await taskora.start()
    expect(await task.dispatch(1).result).toBe(2)
    await setUser(`<${first}`, `>${second}`)
    await admin.call("CLIENT", "KILL", "USER", "worker")
    await until(() => errors.length > 0, "it is told")
    const refused = task.dispatch(2)
    await expect(refused).rejects.toMatchObject({
      code: "CONNECTION",
      message: expect.stringMatching(/WRONGPASS/),
    })
    await setUser(`>${first}`)
    await until(async () => (await task.dispatch(3).result.catch(() => 0)) === 4, "work goes on")
    expect(errors.map(({ name }) => name)).toEqual(["ConnectionError"])
    for (const { message } of errors) expect(message).not.toMatch(new RegExp(`${first}|${second}`))
  }, 30_000)

  it("that are rotated the right way, two at a time, disturb nobody", async () => {
    await setUser("reset", "on", `>${first}`, "~*", "&*", "+@all")
    const [old, young] = [first, second].map((password) =>
      app({ adapter: redisAdapter(url(password), { prefix: "both" }) }),
    ) as [ReturnType<typeof app>, ReturnType<typeof app>]
    const task = old.task<number, number>("work", async (n) => n + 1)
    await old.start()
    await setUser(`>${second}`)
    young.task<number, number>("work", async (n) => n + 1)
    await young.start()
    expect(await task.dispatch(1).result).toBe(2)
    await old.close()
    await setUser(`<${first}`)
    expect(await young.inspect().stats()).toMatchObject({ completed: 1 })
  })
})
