import type { IncomingMessage, ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { createGzip } from "node:zlib"
import { acceptsGzip } from "../server/accept.ts"
import type { Format } from "./text.ts"

export const contentTypes: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
}

/** However slowly a client reads, it is done or cut off by then. */
const longestSendMs = 30_000

/** Streams slices to a client, as fast as it reads them. */
export async function send(
  req: IncomingMessage,
  res: ServerResponse,
  format: Format,
  slices: AsyncGenerator<string>,
): Promise<void> {
  const gzip = acceptsGzip(req.headers["accept-encoding"]?.toString())
  res.writeHead(200, {
    "Content-Type": contentTypes[format],
    Vary: "Accept, Accept-Encoding",
    ...(gzip ? { "Content-Encoding": "gzip" } : {}),
  })
  if (req.method === "HEAD") {
    res.end()
    return
  }
  const deadline = setTimeout(() => res.destroy(), longestSendMs)
  deadline.unref()
  const text = Readable.from(slices, { objectMode: true, highWaterMark: 1 })
  try {
    if (gzip) await pipeline(text, createGzip({ level: 1 }), res)
    else await pipeline(text, res)
  } catch (error) {
    // A client that goes away is none of our concern.
    if (!isGone(error)) throw error
  } finally {
    clearTimeout(deadline)
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ECONNRESET" || code === "EPIPE"
}
