import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { Duplex } from "node:stream"

/** What a client may take of us. */
export interface Limits {
  /** From the connection, or the end of the last request, to the end of the next one. */
  readonly requestMs: number
  /** Between two requests of a connection. */
  readonly idleMs: number
  /** A response that the client does not read for so long is given up. */
  readonly stuckMs: number
  readonly sockets: number
}

export const defaultLimits: Limits = {
  requestMs: 10_000,
  idleMs: 5000,
  stuckMs: 15_000,
  sockets: 1024,
}

const headerBytes = 8192
/** How long close() waits for answers under way. */
const closeMs = 250

/** A small HTTP server that holds nothing up: neither the process, nor its own closing. */
export class Endpoint {
  readonly #server: Server
  #opened = false

  constructor(handle: (req: IncomingMessage, res: ServerResponse) => void, limits: Limits = defaultLimits) {
    const server = createServer({
      maxHeaderSize: headerBytes,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: Math.max(50, limits.requestMs / 5),
    })
    server.maxConnections = limits.sockets
    server.timeout = limits.stuckMs
    server.on("request", handle)
    // Nobody gets a "100 Continue": no body is ever wanted.
    server.on("checkContinue", handle)
    server.on("connection", (socket: Socket) => socket.unref())
    server.on("connect", (_req, socket: Duplex) => refuse(socket))
    this.#server = server
  }

  /** The bound port; undefined while closed. */
  get port(): number | undefined {
    return this.#opened ? (this.#server.address() as AddressInfo | null)?.port : undefined
  }

  async open(port: number, host: string): Promise<void> {
    const server = this.#server
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      // A port shared by a cluster's workers would answer with any worker's numbers.
      server.listen({ port, host, exclusive: true }, () => {
        server.off("error", reject)
        resolve()
      })
    })
    server.unref()
    this.#opened = true
    // After it listens, a failed accept (no more file handles) costs one connection, not the process.
    server.on("error", () => {})
  }

  async close(): Promise<void> {
    if (!this.#opened) return
    this.#opened = false
    const server = this.#server
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    const timer = setTimeout(() => server.closeAllConnections(), closeMs)
    await closed
    clearTimeout(timer)
  }
}

function refuse(socket: Duplex): void {
  // The server no longer minds a socket that asked for a tunnel.
  socket.on("error", () => socket.destroy())
  socket.end("HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nAllow: GET, HEAD\r\n\r\n", () =>
    socket.destroy(),
  )
}
