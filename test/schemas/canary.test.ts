import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { z } from "zod"
import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import { into } from "../../src/index.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { openmetrics } from "../support/scrape.ts"
import { SpanCollector } from "../support/spans.ts"

const canary = "canary-7c1f"
const refused = z.string().refine(() => false, { error: ({ input }) => `${input} is refused` })

onBothHosts("validation messages may hold user data", (host) => {
  const openApp = testApps()
  let spans: SpanCollector
  beforeEach(() => {
    spans = new SpanCollector()
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    await spans.stop()
  })

  it("they are never in spans or labels, and in the error log and the job all the same", async () => {
    const printed: string[] = []
    vi.spyOn(console, "error").mockImplementation((...args) => void printed.push(args.join(" ")))
    const adapter = host.adapter()
    const metrics = prometheus({ port: false })
    const app = openApp({ adapter, observers: [opentelemetry(), metrics] }, true)
    const tasks = [
      app.task("input", { input: refused, handler: () => 1 }),
      app.task("output", { output: refused, handler: () => canary }),
      app.task("migrated", { migrate: [into(refused, () => canary)], handler: () => 1 }),
    ]
    const old = openApp({ adapter: host.sibling(adapter) })
    const errors: Error[] = []
    app.on("worker:error", (error) => errors.push(error))
    await app.start()

    const dispatch = tasks[0]!.dispatch as (
      data: unknown,
      options?: object,
    ) => ReturnType<(typeof tasks)[0]["dispatch"]>
    const atDispatch = dispatch.call(tasks[0], canary)
    await expect(atDispatch).rejects.toThrow(canary)
    dispatch.call(tasks[0], canary)
    await until(() => errors.length === 1, "the error that nobody awaited was told")
    const failures = [
      dispatch.call(tasks[0], canary, { skipValidation: true }),
      tasks[1]!.dispatch("x" as never),
      old.task<unknown, unknown>("migrated").dispatch("y"),
    ]
    for (const handle of failures) await expect(handle.result).rejects.toThrow(canary)
    const exposition = (await metrics.render(openmetrics)).body
    await app.close()

    const shown = JSON.stringify(
      spans.finished.map(({ name, attributes, events, links, status }) => ({
        name,
        attributes,
        events,
        links,
        status,
      })),
    )
    expect(shown).not.toContain(canary)
    expect(exposition).not.toContain(canary)
    // They are there: by their type alone.
    expect(shown.match(/"exception.type":"ValidationError"/g)?.length).toBeGreaterThanOrEqual(3)
    const lines = exposition.split("\n").filter((line) => line.endsWith(" 2") || line.endsWith(" 1"))
    expect(lines.some((line) => /jobs_rejected_total\{.*task="input",reason="validation"/.test(line))).toBe(
      true,
    )
    expect(
      lines.some((line) => /attempts_failed_total\{.*task="output",error_type="ValidationError"/.test(line)),
    ).toBe(true)
    expect(printed.join("\n")).toContain(canary)
  })
})
