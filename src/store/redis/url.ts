import type { RedisOptions } from "ioredis"
import { show } from "../../model/duration.ts"
import { TaskoraError } from "../../model/errors.ts"

const form = "redis://[user:password@]host[:port][/database], or rediss:// for TLS"

/**
 * A URL as ioredis options. It is never repeated in an error: it may carry a password, wherever its author put it.
 * @throws TaskoraError (`INVALID`)
 */
export function parseUrl(text: string): RedisOptions {
  if (!/^rediss?:\/\//i.test(text)) throw invalid("does not begin with redis:// or rediss://")
  const url = parse(text)
  const options: RedisOptions = { host: url.hostname.replace(/^\[|\]$/g, "") || "localhost" }
  if (url.port !== "") options.port = Number(url.port)
  if (url.username !== "") options.username = decode(url.username)
  if (url.password !== "") options.password = decode(url.password)
  const database = url.pathname.replace(/^\//, "")
  if (database !== "") options.db = parseDatabase(database)
  if (url.protocol.toLowerCase() === "rediss:") options.tls = {}
  readParameters(url.searchParams, options)
  return options
}

function parse(text: string): URL {
  try {
    return new URL(text)
  } catch {
    // The original error carries the whole input.
    throw invalid("cannot be read; special characters in the password must be percent-encoded")
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // The original error says no more than this.
    throw invalid("has a % in the user or password that begins no percent-encoded character")
  }
}

function parseDatabase(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw invalid("has a path that is not the number of a database")
}

function readParameters(parameters: URLSearchParams, options: RedisOptions): void {
  for (const [name, value] of parameters) {
    if (name !== "family") {
      throw invalid(
        `has the parameter ${show(name)}, of which nothing is known; use redisAdapter({ host, port, ... })`,
      )
    }
    options.family = Number(value)
  }
}

function invalid(message: string): TaskoraError {
  return new TaskoraError(`redisAdapter: the URL ${message}; expected ${form}`, "INVALID")
}
