import { prometheus } from "../../exporters/prometheus.ts"
import { createTaskora } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"

/** The app that all three servers show: its metrics have no port of their own, only a handler. */
export async function startJobs() {
  const token = process.env.METRICS_TOKEN
  const metrics = prometheus({ port: false, ...(token === undefined ? {} : { bearerToken: token }) })
  const taskora = createTaskora({ adapter: memoryAdapter(), observers: [metrics] })
  const greet = taskora.task("greet", async (name: string) => `hello ${name}`)
  await taskora.start()
  return { taskora, greet, metrics }
}

/** Where the metrics are, and the probes that come with them. */
export const metricsPaths = ["/metrics", "/healthz", "/readyz"]

export const port = Number(process.env.PORT ?? 3000)

/** Calls `close` at SIGTERM or Ctrl-C. */
export function closeAtStop(close: () => Promise<void>): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void close())
}
