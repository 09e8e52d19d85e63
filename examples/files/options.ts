import { type ParseArgsConfig, parseArgs } from "node:util"
import { TaskoraError } from "../../src/index.ts"
import { parseBytes } from "./format.ts"
import { installedPackages, type WalkLimits } from "./walk.ts"

export interface Options extends WalkLimits {
  readonly directory: string
  /** Undefined: the embedded engine. */
  readonly redis: string | undefined
  readonly prefix: string
  readonly port: number
  /** Address on which /metrics is served. */
  readonly host: string
  readonly otlp: string | undefined
  /** End when all is done, rather than serving /metrics until Ctrl-C. */
  readonly exit: boolean
  /** Seconds between two walks, for load without an end; undefined: one walk. */
  readonly again: number | undefined
}

/** A wrong command line; the message says what and how it should be. */
export class UsageError extends Error {}

export const loopback = "127.0.0.1"

const flags = {
  redis: { type: "string" },
  prefix: { type: "string" },
  port: { type: "string" },
  host: { type: "string" },
  otlp: { type: "string" },
  exit: { type: "boolean" },
  keep: { type: "boolean" },
  again: { type: "string" },
  "max-files": { type: "string" },
  "max-bytes": { type: "string" },
  "max-file-bytes": { type: "string" },
  help: { type: "boolean", short: "h" },
} as const

export const usage = `Usage: npm start -- [directory] [options]

Walks a directory of real files (default: the installed node_modules) and dispatches a job for each.

  --redis URL            queue on Redis, such as redis://localhost:6379 (default: the embedded engine)
  --prefix NAME          beginning of the run's own prefix on Redis (default: files)
  --port N               port of /metrics (default: 9464; 0: any free one)
  --host ADDRESS         where /metrics listens (default: 127.0.0.1; 0.0.0.0 shows it to everybody)
  --otlp URL             send traces and metrics there, such as http://localhost:4318
                         (default: OTEL_EXPORTER_OTLP_ENDPOINT; else one trace is shown at the end)
  --exit                 end when all is done: code 0 if all numbers agree, else 1
  --keep                 go on serving /metrics after the end, until Ctrl-C (default)
  --again SECONDS        walk again and again with such pauses, until Ctrl-C
  --max-files N          default: 3000
  --max-bytes SIZE       read at most so much in all (default: 256MiB)
  --max-file-bytes SIZE  larger files fail (default: 1MiB)
  -h, --help             show this

A second process helps with: npm run worker -- --redis URL`

/** @returns "help" where that was asked for. @throws UsageError */
export function parseOptions(args: readonly string[], env: NodeJS.ProcessEnv): Options | "help" {
  const { values, positionals } = parse(args, flags)
  if (values.help) return "help"
  if (positionals.length > 1)
    throw new UsageError(`one directory at a time, not ${positionals.join(" and ")}`)
  if (values.exit && values.keep) throw new UsageError("--exit and --keep exclude each other")
  if (values.exit && values.again !== undefined) throw new UsageError("--exit and --again exclude each other")
  if (values.prefix !== undefined && values.redis === undefined)
    throw new UsageError("--prefix is of use with --redis only")
  return {
    directory: positionals[0] ?? installedPackages(),
    redis: values.redis,
    prefix: prefix(values.prefix ?? "files"),
    port: whole("--port", values.port ?? "9464", 0, 65_535),
    host: values.host ?? loopback,
    otlp: values.otlp ?? env.OTEL_EXPORTER_OTLP_ENDPOINT,
    exit: values.exit ?? false,
    again: values.again === undefined ? undefined : whole("--again", values.again, 0, 86_400),
    maxFiles: whole("--max-files", values["max-files"] ?? "3000", 1, 10_000_000),
    maxBytes: size("--max-bytes", values["max-bytes"] ?? "256MiB"),
    // Files are held in memory, eight at once.
    maxFileBytes: size("--max-file-bytes", values["max-file-bytes"] ?? "1MiB", 256 * 1024 * 1024),
  }
}

/** Says what stands in the way, without a stack where the message is all there is to know. */
export function complain(error: unknown, help: string): void {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${help}`)
  else if (error instanceof TaskoraError) console.error(error.message)
  else throw error
  process.exitCode = error instanceof UsageError ? 2 : 1
}

/** @throws UsageError for what is not a known flag */
export function parse<F extends NonNullable<ParseArgsConfig["options"]>>(
  args: readonly string[],
  options: F,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError((error as Error).message.split(". ")[0])
  }
}

export function whole(flag: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new UsageError(`${flag} ${text}: give a whole number from ${least} to ${most}`)
}

function size(flag: string, text: string, most = Number.MAX_SAFE_INTEGER): number {
  const value = parseBytes(text)
  if (value !== undefined && value > 0 && value <= most) return value
  throw new UsageError(`${flag} ${text}: give a size such as 500000, 64KiB or 256MiB`)
}

function prefix(text: string): string {
  if (/^[\w.-]{1,60}$/.test(text)) return text
  throw new UsageError(`--prefix ${text}: give a name of letters, digits, "-", "_" and "."`)
}
