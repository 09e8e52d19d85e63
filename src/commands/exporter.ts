import { type ClusterExporterOptions, clusterExporter } from "../../exporters/cluster.ts"
import { TaskoraError } from "../model/errors.ts"
import { checkPrefix } from "../model/names.ts"
import type { Observer } from "../model/observer.ts"
import { redisAdapter } from "../redis.ts"
import { type Command, from, parseFlags, UsageError } from "./command.ts"
import { listenForStop } from "./stop.ts"

const usage = `Usage: taskora exporter --redis URL [options]

Serves the metrics of a whole cluster: depth and age of every task's queue, workers, and all transitions, also while no
worker runs. It only reads: it is no worker, and two of them say the same.

  --redis URL          redis://[user:password@]host[:port][/database], or rediss:// for TLS
                       (or the variable TASKORA_REDIS_URL, which other users of the machine cannot see)
  --prefix NAME        prefix of the apps' redisAdapter (default: none)
  --listen HOST:PORT   where /metrics, /healthz and /readyz are served (default: 127.0.0.1:9464; port 0: one that is free)
  --task-limit N       tasks with a label of their own, the first by name (default: 300); the others are _OTHER
  --otlp URL           send the same over OTLP too, such as http://localhost:4318
                       (or the variable OTEL_EXPORTER_OTLP_ENDPOINT; the other OTEL_* variables hold as well)
  -h, --help           show this

TASKORA_METRICS_TOKEN  bearer token that a scraper of /metrics must present (default: none)

While Redis is away it goes on, with taskora_store_up 0 and 503 on /readyz. It ends with code 0 at SIGTERM or SIGINT,
1 where it was refused (password, permission, version, port), 2 where the command line is wrong.`

const flags = {
  redis: { type: "string" },
  prefix: { type: "string" },
  listen: { type: "string" },
  "task-limit": { type: "string" },
  otlp: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const

const tokenVariable = "TASKORA_METRICS_TOKEN"

interface Settings {
  readonly options: ClusterExporterOptions & { readonly host: string; readonly port: number }
  /** Undefined: not over OTLP. */
  readonly otlp: string | undefined
}

export const command: Command = {
  summary: "serve the metrics of a whole cluster, beside it",
  usage,
  async run(args, env) {
    const { options, otlp } = readSettings(args, env)
    const stop = listenForStop()
    const telemetry = otlp === undefined ? undefined : await startTelemetry(otlp, env)
    const observers = telemetry === undefined ? [] : [telemetry.observer]
    const exporter = from(tokenVariable, () => clusterExporter({ ...options, observers }))
    try {
      await exporter.open().catch((error: unknown) => {
        throw cannotListen(error, options)
      })
      console.log(`serving ${urlOf(options.host, exporter.port)}`)
      await Promise.race([exporter.start(), stop])
      await stop
      return 0
    } finally {
      await exporter.close()
      await telemetry?.shutdown()
    }
  },
}

/** @throws UsageError */
function readSettings(args: readonly string[], env: NodeJS.ProcessEnv): Settings {
  const values = parseFlags(args, flags)
  const url = values.redis ?? env.TASKORA_REDIS_URL
  if (url === undefined) throw new UsageError("where is Redis? Give --redis URL, or TASKORA_REDIS_URL")
  const prefix = from("--prefix", () => checkPrefix(values.prefix))
  const adapter = from(values.redis === undefined ? "TASKORA_REDIS_URL" : "--redis", () =>
    redisAdapter(url, { prefix }),
  )
  const limit = values["task-limit"]
  const bearerToken = env[tokenVariable]
  return {
    options: {
      adapter,
      ...parseListen(values.listen ?? "127.0.0.1:9464"),
      ...(limit === undefined ? {} : { taskLimit: parseLimit(limit) }),
      // One that is set and empty is a secret that got lost, and is refused.
      ...(bearerToken === undefined ? {} : { bearerToken }),
    },
    otlp: values.otlp === undefined ? env.OTEL_EXPORTER_OTLP_ENDPOINT || undefined : parseOtlp(values.otlp),
  }
}

function parseListen(text: string): { readonly host: string; readonly port: number } {
  const [, six, name, digits] = /^(?:\[([\da-f:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/i.exec(text) ?? []
  const host = six ?? name
  if (host !== undefined && Number(digits) <= 65_535) return { host, port: Number(digits) }
  throw new UsageError(
    "--listen: give an address and a port, such as 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464",
  )
}

function parseLimit(text: string): number {
  if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= 10_000) return Number(text)
  throw new UsageError("--task-limit: give a whole number from 1 to 10000")
}

function parseOtlp(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text
  throw new UsageError("--otlp: this is no http(s) URL; give a base such as http://localhost:4318")
}

/** In the words of the command line, instead of an option's. */
function cannotListen(error: unknown, { host, port }: Settings["options"]): unknown {
  const cause = error instanceof TaskoraError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined
  if (cause === undefined) return error
  const why = cause.code === "EADDRINUSE" ? "the port is taken" : cause.message
  const place = `${host}:${port}`
  return new TaskoraError(
    `cannot listen on ${place}: ${why}; choose another place with --listen`,
    "INVALID",
    {
      cause,
    },
  )
}

function urlOf(host: string, port: number | undefined): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}/metrics`
}

/** Loaded where it is wanted: OpenTelemetry's packages are optional. */
async function startTelemetry(
  endpoint: string,
  env: NodeJS.ProcessEnv,
): Promise<{ readonly observer: Observer; shutdown(): Promise<void> }> {
  const { opentelemetry, startTelemetry: start } = await import("../../exporters/opentelemetry/index.ts")
  const telemetry = await start({ endpoint, serviceName: env.OTEL_SERVICE_NAME || "taskora-exporter" })
  return { observer: opentelemetry({ traces: false }), shutdown: () => telemetry.shutdown() }
}
