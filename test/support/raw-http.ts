import { connect, type Socket } from "node:net"

/** Sends bytes as they are, and returns all that comes back until the other side closes. */
export function rawRequest(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes))
    let answer = ""
    socket.setEncoding("latin1")
    socket.on("data", (chunk: string) => {
      answer += chunk
    })
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // A server may hang up on garbage before it was all sent.
      if (error.code === "EPIPE" || error.code === "ECONNRESET") resolve(answer)
      else reject(error)
    })
    socket.on("close", () => resolve(answer))
  })
}

/** A request that asks for the connection to be closed after the answer. */
export function rawGet(port: number, target: string, headers: readonly string[] = [], method = "GET") {
  const lines = [`${method} ${target} HTTP/1.1`, "Host: localhost", "Connection: close", ...headers]
  return rawRequest(port, `${lines.join("\r\n")}\r\n\r\n`)
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1])
}

export function openSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket))
    socket.on("error", reject)
  })
}
