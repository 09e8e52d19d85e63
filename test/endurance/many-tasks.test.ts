import { Redis } from "ioredis"
import { describe, expect, onTestFinished, test } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { testApps, until } from "../support/hosts.ts"
import { redisAvailable, startRedis } from "../support/redis-server.ts"
import { sourceFiles } from "../support/repository.ts"

const tasks = 1000
const idleMs = 10_000
/** Every command that some script calls. */
const inScripts = new Set(
  sourceFiles(["lua"], ".lua").flatMap(({ text }) =>
    [...text.matchAll(/redis\.p?call\(\s*"(\w+)"/g)].map(([, name]) => name!.toLowerCase()),
  ),
)
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe.skipIf(!redisAvailable())("a process with a thousand tasks (redis)", () => {
  const open = testApps()

  test("holds four connections, and idle sends less than 5 commands a second for less than 5 % of a CPU", async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const admin = new Redis(server.url)
    onTestFinished(() => admin.disconnect())
    /** Commands that clients sent: scripts' own count in the server's sums, but these are none that they call. */
    const sent = async () => {
      const lines = [...(await admin.info("commandstats")).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)]
      return lines
        .filter(([, name]) => !inScripts.has(name!) && name !== "info")
        .reduce((sum, [, , calls]) => sum + Number(calls), 0)
    }
    /** Those of the app, by what it does on them. */
    const connections = async () => {
      const own = await admin.client("ID")
      const lines = ((await admin.client("LIST")) as string).trim().split("\n")
      return lines.filter((line) => !line.startsWith(`id=${own} `)).length
    }
    const app = open({ adapter: redisAdapter(server.url) })
    let ran = 0
    const handles = Array.from({ length: tasks }, (_, i) => {
      const task = app.task(`task-${i}`, async () => void ran++)
      task.on("completed", () => {})
      return task
    })
    await app.start()
    expect(await connections()).toBe(4)
    const busy = handles.filter((_, i) => i % 40 === 0)
    await Promise.all(busy.map((task) => task.dispatch({})))
    await until(() => ran === busy.length, "the jobs have run", 60_000)
    expect(await connections()).toBe(4)

    // The turns after the work: the last claims, and the markers that were set.
    await wait(2000)
    const before = await sent()
    const cpu = process.cpuUsage()
    const start = performance.now()
    await wait(idleMs)
    const seconds = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    const commands = (await sent()) - before
    expect(commands / seconds).toBeLessThan(5)
    expect(commands).toBeGreaterThan(0)
    expect((user + system) / 1e6 / seconds).toBeLessThan(0.05)

    await handles[tasks - 1]!.dispatch({})
    await until(() => ran === busy.length + 1, "the last task still works", 60_000)
    expect(await connections()).toBe(4)
  }, 200_000)
})
