import { Redis } from "ioredis"
import { expect, it, onTestFinished } from "vitest"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, onRedis, testApps } from "../support/hosts.ts"

onBothHosts("the start-up window", (host) => {
  const openApp = testApps()

  it("Stream positions are snapshotted before workers start — this prevents missing events during the startup window", async () => {
    for (let round = 0; round < 6; round++) {
      const adapter = host.adapter()
      const before = openApp({ adapter })
      const ids = await Promise.all(
        before.task("send-email").dispatchMany(Array.from({ length: 20 }, (_, i) => ({ data: i }))),
      )
      const taskora = openApp({ adapter: host.sibling(adapter) })
      const task = taskora.task("send-email", { concurrency: 10, handler: async () => round })
      const heard = hearTask(task)
      await taskora.start()
      await heard.until("completed", 20)
      expect(heard.all.map(({ meta }) => meta.seq)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
      expect(
        heard
          .of("completed")
          .map(({ id }) => id)
          .sort(),
      ).toEqual(ids.sort())
      await Promise.all([taskora.close(), before.close()])
    }
  })

  it("From listen() on, nothing is missed of what other processes do", async () => {
    const adapter = host.adapter()
    const listener = openApp({ adapter })
    const heard = hearTask(listener.task("send-email"))
    await listener.listen()
    const worker = openApp({ adapter: host.sibling(adapter) })
    const task = worker.task("send-email", async () => "sent")
    await worker.start()
    await task.dispatch({}).result
    await heard.until("completed")
    expect(heard.all.map(({ event }) => event)).toEqual(["active", "completed"])
  })

  it("events of before start() or listen() are not told", async () => {
    const adapter = host.adapter()
    const worker = openApp({ adapter })
    const task = worker.task("send-email", async () => "sent")
    await worker.start()
    await task.dispatch({}).result
    const late = openApp({ adapter: host.sibling(adapter) })
    const heard = hearTask(late.task("send-email"))
    await late.start()
    const id = await task.dispatch({})
    await heard.until("completed")
    expect(heard.of("completed").map((payload) => payload.id)).toEqual([id])
  })
})

onRedis("Implementation", (host) => {
  const openApp = testApps()

  interface Seen {
    readonly command: string
    readonly args: readonly string[]
    /** Address of the connection, or "lua". */
    readonly source: string
  }

  /** Records all commands that the server runs from now on. */
  async function watchServer(): Promise<Seen[]> {
    const client = new Redis(host.url()!)
    const monitor = await client.monitor()
    onTestFinished(() => {
      client.disconnect()
      monitor.disconnect()
    })
    const seen: Seen[] = []
    monitor.on("monitor", (_time: string, [command, ...args]: string[], source: string) => {
      seen.push({ command: command!.toUpperCase(), args, source })
    })
    return seen
  }

  it("Events are backed by Redis Streams (XADD); the EventReader uses XREAD BLOCK on a separate connection; positions are snapshotted via XREVRANGE before workers start", async () => {
    const seen = await watchServer()
    const taskora = openApp({ adapter: host.adapter() })
    const task = taskora.task("send-email", async () => "sent")
    const heard = hearTask(task)
    await taskora.start()
    await task.dispatch({}).result
    await heard.until("completed")
    await taskora.close()

    const named = (name: string) => seen.filter(({ command }) => command === name)
    expect(named("XREADGROUP")).toEqual([])
    // Each state transition in the Lua scripts writes a stream event.
    const entries = named("XADD").filter(({ args }) => args[0]!.endsWith(":events"))
    expect(entries.map(({ source }) => source)).toEqual(["lua", "lua"])
    // Job processing: only one pod claims each job (atomic `RPOP` in Lua).
    expect(named("RPOP").length).toBeGreaterThan(0)
    for (const { source } of named("RPOP")) expect(source).toBe("lua")

    const reads = named("XREAD")
    expect(reads.length).toBeGreaterThan(0)
    for (const { args } of reads) {
      expect(args.map((word) => word.toUpperCase())).toContain("BLOCK")
      expect(args).not.toContain("$")
    }
    const reader = reads[0]!.source
    const onReader = new Set(seen.filter(({ source }) => source === reader).map(({ command }) => command))
    for (const command of ["EVALSHA", "BZPOPMIN", "SUBSCRIBE", "XADD"])
      expect(onReader).not.toContain(command)

    const first = (...names: string[]) => seen.findIndex(({ command }) => names.includes(command))
    expect(first("XREVRANGE")).toBeGreaterThanOrEqual(0)
    expect(first("XREVRANGE")).toBeLessThan(first("RPOP"))
    expect(first("XREVRANGE")).toBeLessThan(first("BZPOPMIN"))
    expect(first("XREVRANGE")).toBeLessThan(first("XREAD"))
  })
})
