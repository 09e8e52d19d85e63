import { opentelemetry } from "../../exporters/opentelemetry/index.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import { type Adapter, createTaskora, TaskoraError } from "../../src/index.ts"
import { loopback } from "./options.ts"
import { Tally } from "./tally.ts"
import { declareTasks } from "./tasks.ts"
import { startTraces } from "./traces.ts"

interface AppOptions {
  readonly adapter: Adapter
  /** Of /metrics. */
  readonly port: number
  readonly host: string
  readonly otlp: string | undefined
}

/**
 * What both processes have in common: an app that works on the tasks, with metrics and traces.
 *
 * In a program of your own, `../../src/index.ts` is `taskora`, `../../src/redis.ts` is `taskora/redis`,
 * `../../exporters/prometheus.ts` is `taskora/prometheus`, and so on.
 *
 * @throws TaskoraError where the store cannot be reached, or /metrics cannot be served
 */
export async function startApp({ adapter, port, host, otlp }: AppOptions) {
  const traces = await startTraces(otlp, process.env)
  const metrics = prometheus({ port, host })
  const taskora = createTaskora({
    adapter,
    observers: [opentelemetry(), metrics],
    // Directories are summed up from the records of their files' jobs, so these must last until then.
    retention: { completed: { maxAge: "1h", maxItems: 1_000_000 } },
  })
  const tasks = declareTasks(taskora)
  const tally = new Tally(taskora)
  const close = async () => {
    await taskora.close({ timeout: "5s" })
    await traces.shutdown()
  }
  try {
    await taskora.start()
    await tally.identify()
  } catch (error) {
    await close()
    throw isPortTaken(error) ? portTaken(port) : error
  }
  const reachedAt = host === "0.0.0.0" ? loopback : host
  const metricsUrl = `http://${reachedAt}:${metrics.port}/metrics`
  return { taskora, tasks, tally, traces, metricsUrl, close }
}

function isPortTaken(error: unknown): boolean {
  if (!(error instanceof TaskoraError)) return false
  return (error.cause as NodeJS.ErrnoException | undefined)?.code === "EADDRINUSE"
}

function portTaken(port: number): Error {
  return new TaskoraError(
    `port ${port}, where /metrics would be served, is taken; choose another with --port ${port + 1}, or any free one with --port 0`,
  )
}
