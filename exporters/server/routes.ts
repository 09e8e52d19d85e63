import { createHash, timingSafeEqual } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"

/** What the routes lead to. */
export interface Site {
  readonly path: string
  readonly bearerToken: string | undefined
  /** False until there are numbers to show. */
  attached(): boolean
  /** Why work cannot be done now; undefined where it can. */
  unready(): string | undefined
  metrics(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** Hears of what went wrong inside, which is not for clients. */
  failed(error: unknown): void
}

interface Reply {
  readonly status: number
  readonly text: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Answers one request; never throws, never tells more than it must. */
export function route(site: Site, req: IncomingMessage, res: ServerResponse): void {
  res.setHeader("X-Content-Type-Options", "nosniff")
  res.setHeader("Cache-Control", "no-store")
  const reply = decide(site, req)
  if (reply !== "metrics") {
    // A refused request may have a body on its way that nobody will read.
    if (hasBody(req)) res.setHeader("Connection", "close")
    answer(res, reply)
    return
  }
  site.metrics(req, res).catch((error: unknown) => {
    site.failed(error)
    // What was half written must not look whole.
    if (res.headersSent) res.destroy()
    else answer(res, { status: 500, text: "the metrics could not be read" })
  })
}

function decide(site: Site, req: IncomingMessage): Reply | "metrics" {
  const path = pathOf(req)
  if (path !== site.path && path !== "/healthz" && path !== "/readyz")
    return { status: 404, text: "not found" }
  if (req.method !== "GET" && req.method !== "HEAD") {
    return { status: 405, text: "method not allowed", headers: { Allow: "GET, HEAD" } }
  }
  if (hasBody(req)) return { status: 400, text: "no body is expected here" }
  if (path === "/healthz") return { status: 200, text: "ok" }
  if (path === "/readyz") {
    const reason = site.unready()
    return reason === undefined ? { status: 200, text: "ready" } : { status: 503, text: reason }
  }
  if (site.bearerToken !== undefined && !presents(req, site.bearerToken)) {
    return { status: 401, text: "unauthorized", headers: { "WWW-Authenticate": 'Bearer realm="taskora"' } }
  }
  if (!site.attached()) return { status: 503, text: "not part of an app yet" }
  return "metrics"
}

/** The path as it was sent: nothing is decoded or resolved, so nothing can be smuggled past the comparison. */
function pathOf(req: IncomingMessage): string {
  // Frameworks cut the part where they mounted us off `url`, and keep the whole here.
  const { originalUrl } = req as { originalUrl?: unknown }
  const url = typeof originalUrl === "string" ? originalUrl : (req.url ?? "")
  // A request to a proxy names the host too.
  return url.replace(/^https?:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "")
}

function hasBody(req: IncomingMessage): boolean {
  const { "content-length": length, "transfer-encoding": encoding } = req.headers
  return encoding !== undefined || (length !== undefined && Number(length) !== 0)
}

function presents(req: IncomingMessage, token: string): boolean {
  const presented = /^Bearer +([\x21-\x7e]+) *$/i.exec(req.headers.authorization ?? "")?.[1] ?? ""
  // Digests are of one length, so the comparison takes the same time whatever was sent.
  return timingSafeEqual(digest(presented), digest(token))
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest()
}

function answer(res: ServerResponse, { status, text, headers }: Reply): void {
  const body = `${text}\n`
  res.writeHead(status, {
    ...headers,
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": Buffer.byteLength(body),
  })
  res.end(body)
}
