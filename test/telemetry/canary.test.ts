import { context, propagation, ROOT_CONTEXT } from "@opentelemetry/api"
import { logs } from "@opentelemetry/api-logs"
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs"
import { Redis } from "ioredis"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import {
  type OpenTelemetryOptions,
  opentelemetry,
  startTelemetry,
} from "../../exporters/opentelemetry/index.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import { createTaskora, ValidationError } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { OtlpReceiver } from "../support/otlp-receiver.ts"
import { type RedisServer, redisAvailable, startRedis } from "../support/redis-server.ts"
import { openmetrics } from "../support/scrape.ts"
import { resetTelemetry } from "../support/spans.ts"

/** Each is where its name says, and nowhere else that others can read. */
const canaries = {
  payload: "canary-payload-5d1c",
  result: "canary-result-8a42",
  progress: "canary-progress-c9f0",
  meta: "canary-meta-11e7",
  headers: "canary-headers-e2b3",
  password: "canary-password-77aa",
  wrongPassword: "canary-wrong-password-0be9",
  apiKey: "canary-api-key-b6d4",
  bearer: "canary-bearer-94f1",
  validation: "canary-validation-20cc",
  error: "canary-error-3f58",
}
type Canary = keyof typeof canaries

describe.skipIf(!redisAvailable())("what is nobody's business", () => {
  let server: RedisServer
  let receiver: OtlpReceiver
  let printed: string[]

  beforeEach(async () => {
    server = await startRedis()
    const admin = new Redis(server.url)
    await admin.config("SET", "requirepass", canaries.password)
    admin.disconnect()
    receiver = await OtlpReceiver.start()
    printed = []
    const keep = (...args: unknown[]) => void printed.push(args.map(String).join(" "))
    for (const method of ["error", "warn", "log", "info", "debug"] as const)
      vi.spyOn(console, method).mockImplementation(keep)
    for (const stream of [process.stdout, process.stderr])
      vi.spyOn(stream, "write").mockImplementation((text) => {
        keep(text)
        return true
      })
    vi.spyOn(process, "emitWarning").mockImplementation(keep)
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    logs.disable()
    await receiver.stop()
    await server.stop()
    resetTelemetry()
  })

  /** Lets every canary fly, and returns where each kind of telemetry ended up, as text. */
  async function fly(options: OpenTelemetryOptions) {
    const lines = new InMemoryLogRecordExporter()
    logs.setGlobalLoggerProvider(
      new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter: lines })] }),
    )
    const telemetry = await startTelemetry({
      serviceName: "s",
      endpoint: receiver.endpoint,
      headers: { "x-api-key": canaries.apiKey },
    })
    const metrics = prometheus({ port: 0, bearerToken: canaries.bearer })
    const url = `redis://:${canaries.password}@127.0.0.1:${server.port}`
    const app = createTaskora({ adapter: redisAdapter(url), observers: [opentelemetry(options), metrics] })
    const task = app.task("t", {
      concurrency: 2,
      retry: { attempts: 2, delay: 1 },
      async handler({ deed }: { deed: string; secret: string }, ctx) {
        ctx.progress({ at: canaries.progress })
        ctx.log.info("under way", { meta: canaries.meta })
        if (deed === "fail") throw new Error(canaries.error)
        if (deed === "invalid") throw new ValidationError(canaries.validation)
        return { secret: canaries.result }
      },
    })
    await app.start()
    const baggage = propagation.createBaggage({ secret: { value: canaries.headers } })
    const secret = canaries.payload
    const dispatch = (deed: string) =>
      context.with(propagation.setBaggage(ROOT_CONTEXT, baggage), () => task.dispatch({ deed, secret }))
    expect(await dispatch("return").result).toEqual({ secret: canaries.result })
    for (const deed of ["fail", "invalid"]) await expect(dispatch(deed).result).rejects.toThrow()
    expect(await task.dispatch({ deed: "late", secret }, { delay: "1h" }).cancel()).toBe("cancelled")
    await expect(
      Promise.resolve(task.dispatch({ deed: "", secret: secret.repeat(60_000) })),
    ).rejects.toThrow()

    const scrapes: string[] = []
    for (const authorization of ["", `Bearer ${canaries.wrongPassword}`, `Bearer ${canaries.bearer}`])
      for (const accept of ["text/plain", openmetrics]) {
        const headers = { authorization, accept }
        scrapes.push(await (await fetch(`http://127.0.0.1:${metrics.port}/metrics`, { headers })).text())
      }
    await app.close()
    await telemetry.shutdown()
    await denied()
    return {
      otlp: receiver.bodies.join("\n"),
      logs: JSON.stringify(
        lines.getFinishedLogRecords().map(({ body, attributes }) => ({ body, attributes })),
      ),
      metrics: scrapes.join("\n"),
      printed: printed.join("\n"),
    }
  }

  /** An app that is not let in says so, without the password that it tried. */
  async function denied(): Promise<void> {
    const url = `redis://:${canaries.wrongPassword}@127.0.0.1:${server.port}`
    const app = createTaskora({ adapter: redisAdapter(url), observers: [opentelemetry()] })
    const error: Error = await app.start().then(
      () => new Error("it was let in"),
      (thrown) => thrown,
    )
    const whole = [error.message, error.stack, String(error.cause), JSON.stringify(error)].join("\n")
    expect(whole).not.toContain(canaries.wrongPassword)
    expect(whole).toMatch(/WRONGPASS|invalid username-password/)
    await app.close({ timeout: 100 })
  }

  function found(places: Readonly<Record<string, string>>): Partial<Record<Canary, string[]>> {
    const seen: Partial<Record<Canary, string[]>> = {}
    for (const name of Object.keys(canaries) as Canary[]) {
      const where = Object.keys(places).filter((place) => places[place]!.includes(canaries[name]))
      if (where.length > 0) seen[name] = where
    }
    return seen
  }

  test("is in no span, metric or log; an error's message is in its exception and the error log", async () => {
    const places = await fly({})
    expect(found(places)).toEqual({ error: ["otlp", "printed"], validation: ["printed"] })
    expect(places.otlp).toContain("process t")
    expect(places.logs).toContain("under way")
    expect(places.metrics).toContain("taskora_jobs_completed_total")

    const spans = receiver.spans.filter((span) => JSON.stringify(span).includes(canaries.error))
    expect(spans.map((span) => span.name)).toEqual(["process t", "process t"])
    for (const { events, ...rest } of spans) {
      expect(JSON.stringify(rest)).not.toContain(canaries.error)
      const telling = events.filter((event) => JSON.stringify(event).includes(canaries.error))
      expect(telling.map((event) => event.name)).toEqual(["exception"])
    }
  })

  test('with capture.errors "type" an error\'s message is in the error log alone', async () => {
    const places = await fly({ capture: { errors: "type" } })
    expect(found(places)).toEqual({ error: ["printed"], validation: ["printed"] })
    expect(places.otlp).toContain("exception.type")
  })

  test("what the redacting function lets through is shown", async () => {
    const places = await fly({ capture: { data: (value) => JSON.stringify(value) } })
    expect(found(places)).toMatchObject({ progress: ["otlp"], meta: ["logs"] })
  })
})
