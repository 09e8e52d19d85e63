import { afterEach, beforeEach, expect, test } from "vitest"
import { opentelemetry, startTelemetry, type Telemetry } from "../../exporters/opentelemetry/index.ts"
import type { Duration } from "../../src/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"
import { type Behaviour, OtlpReceiver } from "../support/otlp-receiver.ts"
import { resetTelemetry } from "../support/spans.ts"

onBothHosts("an OTLP backend in trouble", (host) => {
  const open = testApps()
  let receiver: OtlpReceiver
  let telemetry: Telemetry | undefined
  /** What came first. */
  let order: string[]

  beforeEach(async () => {
    order = []
    receiver = await OtlpReceiver.start()
  })
  afterEach(async () => {
    receiver.behaviour = "accept"
    await telemetry?.shutdown()
    telemetry = undefined
    await receiver.stop()
    resetTelemetry()
  })

  async function work(endpoint: string, flushTimeout: Duration) {
    const report = (message: string) => void order.push(message)
    telemetry = await startTelemetry({ serviceName: "s", endpoint, flushTimeout, report })
    const app = open({ adapter: host.adapter(), observers: [opentelemetry()] })
    const task = app.task("t", { concurrency: 10, handler: async (n: number) => n })
    await app.start()
    const jobs = task.dispatchMany(Array.from({ length: 100 }, (_, n) => ({ data: n })))
    const results = await Promise.all(jobs.map((job) => job.result))
    expect(results).toEqual(Array.from({ length: 100 }, (_, n) => n))
    order.push("jobs are done")
    return app
  }

  test("that hangs: jobs end before it answers, and close() does not wait for it", async () => {
    receiver.behaviour = "hang"
    const app = await work(receiver.endpoint, "20s")
    const flushed = telemetry!.flush().then(() => order.push("the receiver answered"))
    await app.close({ timeout: 200 })
    order.push("the app is closed")
    expect(order).toEqual(["jobs are done", "the app is closed"])
    receiver.release()
    await flushed
    expect(order.at(-1)).toBe("the receiver answered")
  })

  test.each([["refuse" as Behaviour], ["absent"]])(
    "that is no help (%s): the loss is reported",
    async (how) => {
      if (how !== "absent") receiver.behaviour = how as Behaviour
      const app = await work(how === "absent" ? "http://127.0.0.1:9" : receiver.endpoint, "300ms")
      await app.close({ timeout: 200 })
      expect(order[0]).toBe("jobs are done")
      expect(order.slice(1).join()).toMatch(/spans were lost|did not end within/)
    },
  )

  test("that takes all: every span has arrived when close() returns", async () => {
    const app = await work(receiver.endpoint, "5s")
    await app.close()
    const names = receiver.spans.map((span) => span.name)
    expect(names.filter((name) => name === "process t")).toHaveLength(100)
    expect(names.filter((name) => name === "send t")).toHaveLength(1)
    expect(names).toContain("worker shutdown")
    expect(order).toEqual(["jobs are done"])
  })
})
