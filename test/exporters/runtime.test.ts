import { expect, test, vi } from "vitest"
import { runtimeGauges } from "../../exporters/catalogue.ts"
import { Runtime } from "../../exporters/measure/runtime.ts"
import { observed, scrape } from "../support/scrape.ts"

function delays(runtime: Runtime): number {
  return runtime.read().byInstrument.get(runtimeGauges.loopDelayP99)?.length ?? 0
}

test("the event loop is measured while anybody looks", async () => {
  const runtime = new Runtime()
  expect(delays(runtime)).toBe(0)
  runtime.start()
  runtime.start()
  await vi.waitUntil(() => delays(runtime) === 1)
  runtime.stop()
  expect(delays(runtime)).toBe(1)
  runtime.stop()
  runtime.stop()
  expect(delays(runtime)).toBe(0)
})

test("a blocked loop shows in the delay and in the utilization", async () => {
  const runtime = new Runtime()
  runtime.start()
  const read = (gauge: (typeof runtimeGauges)[keyof typeof runtimeGauges]) =>
    runtime.read().byInstrument.get(gauge)?.[0]?.value
  await vi.waitUntil(() => delays(runtime) === 1)
  const until = performance.now() + 300
  while (performance.now() < until);
  await vi.waitUntil(() => (read(runtimeGauges.loopDelayP99) ?? 0) > 0.2)
  expect(read(runtimeGauges.loopUtilization)).toBeGreaterThan(0)
  runtime.stop()
})

test("open() begins and close() ends it, also without a port", async () => {
  const { metrics } = observed({ port: false })
  const shown = async () => (await scrape(metrics)).has("nodejs_eventloop_delay_p99_seconds")
  await metrics.open()
  await vi.waitUntil(shown)
  await metrics.close()
  expect(await shown()).toBe(false)
})
