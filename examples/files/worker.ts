/** A second process for a run on Redis: `npm run worker -- --redis URL`. It works on the same tasks and hears the same events. */
import { startApp } from "./app.ts"
import { count, counted, styled } from "./format.ts"
import { Live } from "./live.ts"
import { complain, loopback, parse, UsageError, whole } from "./options.ts"
import { findRun, withoutPassword } from "./places.ts"
import { listenForStop } from "./stop.ts"

const usage = `Usage: npm run worker -- --redis URL [options]

Joins a run of npm start -- --redis URL and works on its jobs, until Ctrl-C.

  --redis URL    such as redis://localhost:6379
  --prefix NAME  the run's prefix, as it printed it (default: that of the last run; waits for one to begin)
  --port N       port of /metrics (default: 0, any free one)
  --host ADDRESS where /metrics listens (default: 127.0.0.1)
  --otlp URL     send traces and metrics there (default: OTEL_EXPORTER_OTLP_ENDPOINT)
  -h, --help     show this`

const flags = {
  redis: { type: "string" },
  prefix: { type: "string" },
  port: { type: "string" },
  host: { type: "string" },
  otlp: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parse(args, flags)
  if (values.help) return console.log(usage)
  if (values.redis === undefined) throw new UsageError("--redis URL is missing")
  if (positionals.length > 0) throw new UsageError(`what is ${positionals[0]} for?`)
  const url = values.redis
  const port = whole("--port", values.port ?? "0", 0, 65_535)
  const stop = listenForStop()
  const onWait = () => console.log(`no run on ${withoutPassword(url)} yet: npm start -- --redis begins one`)
  const prefix = values.prefix ?? (await findRun(url, { onWait, signal: stop.signal }))
  if (prefix === undefined) return

  const { redisAdapter } = await import("../../src/redis.ts")
  const otlp = values.otlp ?? process.env.OTEL_EXPORTER_OTLP_ENDPOINT
  const host = values.host ?? loopback
  const app = await startApp({ adapter: redisAdapter(url, { prefix }), port, host, otlp })
  const live = new Live(app.tally, { shorten: (text) => text })
  live.listen(app.taskora)
  try {
    console.log(`${styled("bold", "joined")}   ${prefix} on ${withoutPassword(url)}, until Ctrl-C`)
    console.log(`${styled("bold", "metrics")}  ${app.metricsUrl}`)
    live.start()
    await stop.stopped
    live.stop()
    const { here, everywhere } = app.tally
    const told = (counts: typeof here) =>
      `${counted(counts.active, "attempt")}, ${count(counts.completed)} completed, ${count(counts.failed)} failed`
    console.log(`\nin this process:  ${told(here)}\nheard since then: ${told(everywhere)}`)
    process.exitCode = 0
  } finally {
    live.stop()
    await app.close()
  }
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  complain(error, usage)
}
