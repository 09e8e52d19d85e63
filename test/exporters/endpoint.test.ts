import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { gunzipSync } from "node:zlib"
import { afterEach, describe, expect, test } from "vitest"
import { send } from "../../exporters/prometheus/send.ts"
import type { Prometheus, PrometheusOptions } from "../../exporters/prometheus.ts"
import { prometheus } from "../../exporters/prometheus.ts"
import { Endpoint } from "../../exporters/server/endpoint.ts"
import { parseExposition } from "../support/exposition.ts"
import { FakeSource } from "../support/fake-source.ts"
import { openSocket, rawGet, rawRequest, statusOf } from "../support/raw-http.ts"
import { observed, openmetrics } from "../support/scrape.ts"

const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((o) => o.close()))
})

async function serving(options: PrometheusOptions = {}, source = new FakeSource()) {
  const app = observed(options, source)
  opened.push(app.metrics)
  await app.metrics.open()
  return { ...app, port: app.metrics.port!, url: `http://127.0.0.1:${app.metrics.port}` }
}

describe("a scrape", () => {
  test("gets the classic text, or OpenMetrics by name", async () => {
    const { url } = await serving()
    const text = await fetch(`${url}/metrics`)
    expect(text.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8")
    parseExposition(await text.text(), "text")
    const open = await fetch(`${url}/metrics?debug=1`, { headers: { accept: openmetrics } })
    expect(open.headers.get("content-type")).toBe(
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )
    parseExposition(await open.text(), "openmetrics")
  })

  test("is compressed when asked", async () => {
    const { port } = await serving()
    const answer = await rawGet(port, "/metrics", ["Accept-Encoding: gzip", "TE: identity"], "GET")
    expect(answer).toMatch(/Content-Encoding: gzip/i)
    const plain = await rawGet(port, "/metrics")
    expect(plain).not.toMatch(/Content-Encoding/i)
    const body = unchunk(answer.slice(answer.indexOf("\r\n\r\n") + 4))
    parseExposition(gunzipSync(Buffer.from(body, "latin1")).toString(), "text")
  })

  test("waits for the store half of its own patience, a second at most", async () => {
    const { url, source } = await serving()
    for (const seconds of ["0.5", "10", "0", "banana"]) {
      await fetch(`${url}/metrics`, { headers: { "X-Prometheus-Scrape-Timeout-Seconds": seconds } })
    }
    expect(source.waits).toEqual([250, 1000, 1000, 1000])
  })

  test("succeeds while the store does not answer, or the read fails", async () => {
    const { url, source } = await serving()
    source.snapshot = undefined
    expect(await (await fetch(`${url}/metrics`)).text()).toContain("taskora_store_up 0")
    source.queue = async () => {
      throw new Error("secret detail")
    }
    const answer = await fetch(`${url}/metrics`)
    expect(answer.status).toBe(200)
    expect(await answer.text()).toContain("taskora_store_up 0")
  })

  test("tells nothing of what went wrong inside", async () => {
    const { url, source } = await serving()
    source.slots = () => {
      throw new Error("secret detail")
    }
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve))
    const answer = await fetch(`${url}/metrics`)
    expect(answer.status).toBe(500)
    expect(await answer.text()).toBe("the metrics could not be read\n")
    expect((await warned).message).toContain("secret detail")
  })
})

/** Takes a chunked body apart. */
function unchunk(body: string): string {
  let rest = body
  let whole = ""
  for (;;) {
    const end = rest.indexOf("\r\n")
    const size = Number.parseInt(rest.slice(0, end), 16)
    if (!(size > 0)) return whole
    whole += rest.slice(end + 2, end + 2 + size)
    rest = rest.slice(end + 2 + size + 2)
  }
}

describe("the probes", () => {
  test("/healthz tells that the process lives, whatever the store does", async () => {
    const { url, source } = await serving()
    source.isConnected = false
    const answer = await fetch(`${url}/healthz`)
    expect([answer.status, await answer.text()]).toEqual([200, "ok\n"])
  })

  test("/readyz tells why not", async () => {
    const { url, source } = await serving()
    const ask = async () => {
      const answer = await fetch(`${url}/readyz`)
      return `${answer.status} ${await answer.text()}`
    }
    expect(await ask()).toBe("200 ready\n")
    source.isReady = false
    expect(await ask()).toBe("503 workers are not running\n")
    source.isConnected = false
    expect(await ask()).toBe("503 not connected to the store\n")
  })
})

describe("the token", () => {
  test("guards the metrics, and the metrics only", async () => {
    const { url } = await serving({ bearerToken: "s3cret" })
    const ask = async (path: string, authorization?: string) => {
      const answer = await fetch(
        url + path,
        authorization === undefined ? {} : { headers: { authorization } },
      )
      expect(await answer.text()).not.toContain("s3cret")
      return answer
    }
    const refused = await ask("/metrics")
    expect(refused.status).toBe(401)
    expect(refused.headers.get("www-authenticate")).toBe('Bearer realm="taskora"')
    for (const wrong of ["Bearer", "Bearer x", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret"]) {
      expect((await ask("/metrics", wrong)).status, wrong).toBe(401)
    }
    expect((await ask("/metrics", "Bearer s3cret")).status).toBe(200)
    expect((await ask("/metrics", "bearer s3cret")).status).toBe(200)
    expect((await ask("/healthz")).status).toBe(200)
    expect((await ask("/readyz")).status).toBe(200)
  })
})

describe("abuse", () => {
  test.each([
    "/metrics/../x",
    "/x/../metrics",
    "/%6detrics",
    "/metrics%00",
    "/%00",
    "//metrics",
    "/metrics/",
    "/METRICS",
    "/",
    "*",
    "/metrics;x",
    "http://other/x",
  ])("%s is not found", async (target) => {
    const { port } = await serving()
    expect(statusOf(await rawGet(port, target))).toBe(404)
  })

  test("a proxy's form of the address is understood", async () => {
    const { port } = await serving()
    expect(statusOf(await rawGet(port, "http://localhost:9464/metrics?x#y"))).toBe(200)
  })

  test.each(["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])("%s is not allowed", async (method) => {
    const { port } = await serving()
    const answer = await rawGet(port, "/metrics", ["Content-Length: 0", "Cookie: c=canary"], method)
    expect(statusOf(answer)).toBe(405)
    expect(answer).toContain("Allow: GET, HEAD")
    expect(answer).not.toContain("canary")
  })

  test("CONNECT is not allowed", async () => {
    const { port } = await serving()
    expect(statusOf(await rawRequest(port, "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"))).toBe(405)
  })

  test.each(["/metrics", "/healthz", "/readyz", "/nowhere"])("HEAD %s has no body", async (path) => {
    const { port } = await serving()
    const answer = await rawGet(port, path, [], "HEAD")
    expect(statusOf(answer)).toBe(path === "/nowhere" ? 404 : 200)
    expect(answer.slice(answer.indexOf("\r\n\r\n"))).toBe("\r\n\r\n")
  })

  test.each([
    ["a length", ["Content-Length: 1000000"]],
    ["chunks", ["Transfer-Encoding: chunked"]],
    ["an expectation", ["Content-Length: 1000000", "Expect: 100-continue"]],
  ])("a body on GET, told by %s, is refused before it was sent", async (_, headers) => {
    const { port } = await serving()
    const head = ["GET /metrics HTTP/1.1", "Host: x", ...headers].join("\r\n")
    const answer = await rawRequest(port, `${head}\r\n\r\n`)
    expect(statusOf(answer)).toBe(400)
    expect(answer).toMatch(/Connection: close/i)
    expect(answer).not.toContain("100 Continue")
  })

  test.each([
    ["a URL of 1 MB", `GET /${"a".repeat(1_000_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ["headers of 1 MB", `GET /metrics HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(1_000_000)}\r\n\r\n`],
    ["many headers", `GET /metrics HTTP/1.1\r\nHost: x\r\n${"X: y\r\n".repeat(100_000)}\r\n`],
  ])("%s is too large", async (_, bytes) => {
    const { port, url } = await serving()
    const answer = await rawRequest(port, bytes)
    // The server may reset the connection before its answer was read.
    if (answer !== "") expect(statusOf(answer)).toBe(431)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  test.each([
    ["garbage", Buffer.from([0, 1, 2, 255, 254, 13, 10, 13, 10])],
    ["TLS", Buffer.from("16030100a5010000a10303", "hex")],
    ["a bad version", "GET /metrics HTTP/9.9\r\nHost: x\r\n\r\n"],
    ["a NUL in the path", "GET /met\0rics HTTP/1.1\r\nHost: x\r\n\r\n"],
    [
      "both ways to tell a length",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ["no host", "GET /metrics HTTP/1.1\r\n\r\n"],
  ])("%s is a bad request without a stack trace", async (_, bytes) => {
    const { port, url } = await serving()
    const answer = await rawRequest(port, bytes)
    expect(statusOf(answer)).toBe(400)
    expect(answer).not.toMatch(/ at |node:|\.ts/)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  test("pipelined requests are answered in turn", async () => {
    const { port } = await serving()
    const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`
    const answer = await rawRequest(
      port,
      get("/healthz") + get("/x") + get("/readyz", "Connection: close\r\n"),
    )
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => m[1])).toEqual(["200", "404", "200"])
  })

  test("500 slow clients are cut off, and keep nobody from scraping", async () => {
    const limits = { requestMs: 300, idleMs: 300, stuckMs: 60_000, sockets: 1024 }
    const metrics = prometheus({ port: false })
    metrics.source(new FakeSource())
    const endpoint = new Endpoint(metrics.handler, limits)
    opened.push(endpoint)
    await endpoint.open(0, "127.0.0.1")
    const port = endpoint.port!
    const sockets = await Promise.all(Array.from({ length: 500 }, () => openSocket(port)))
    const ended = sockets.map((socket) => new Promise((resolve) => socket.on("close", resolve)))
    for (const [i, socket] of sockets.entries()) {
      socket.resume()
      // Half of them begin a request that they never end.
      if (i % 2 === 0) socket.write("GET /metr")
    }
    expect(statusOf(await rawGet(port, "/metrics"))).toBe(200)
    await Promise.all(ended)
  })

  test("a client that goes away in the middle is no error", async () => {
    let sent: Promise<void> | undefined
    async function* endless() {
      for (;;) yield "x".repeat(100_000)
    }
    const endpoint = new Endpoint((req, res) => {
      sent = send(req, res, "text", endless())
    })
    opened.push(endpoint)
    await endpoint.open(0, "127.0.0.1")
    const socket = await openSocket(endpoint.port!)
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await new Promise((resolve) => socket.once("data", resolve))
    socket.destroy()
    await expect(sent).resolves.toBeUndefined()
  })

  test("more connections than the limit are refused, and do not stay", async () => {
    const endpoint = new Endpoint((_, res) => res.end(), {
      requestMs: 5000,
      idleMs: 5000,
      stuckMs: 5000,
      sockets: 2,
    })
    opened.push(endpoint)
    await endpoint.open(0, "127.0.0.1")
    const held = [await openSocket(endpoint.port!), await openSocket(endpoint.port!)]
    expect(await rawGet(endpoint.port!, "/")).toBe("")
    for (const socket of held) socket.destroy()
  })
})

describe("the life of the endpoint", () => {
  test("a taken port is an error that names port and option", async () => {
    const { port } = await serving()
    const second = prometheus({ port })
    second.source(new FakeSource())
    await expect(second.open()).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: the port is taken. Change the option "port"`,
    )
    await second.close()
  })

  test("it can be opened again after a failure and after it was closed", async () => {
    const { metrics: first, port } = await serving()
    const second = prometheus({ port })
    opened.push(second)
    second.source(new FakeSource())
    await expect(second.open()).rejects.toThrow("taken")
    await first.close()
    await second.open()
    expect(second.port).toBe(port)
    await second.close()
    expect(second.port).toBeUndefined()
    await second.open()
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
  })

  test("opening and closing twice is harmless", async () => {
    const { metrics, port } = await serving()
    await Promise.all([metrics.open(), metrics.listen()])
    expect(metrics.port).toBe(port)
    await Promise.all([metrics.close(), metrics.close()])
    await metrics.close()
  })

  test("port false opens nothing", async () => {
    const { metrics } = observed({ port: false })
    await metrics.open()
    expect(metrics.port).toBeUndefined()
    await expect(metrics.listen()).rejects.toThrow('option "port" is false')
    await metrics.close()
  })

  test("closing ends the sockets of clients that hang", async () => {
    const { metrics, port } = await serving()
    const socket = await openSocket(port)
    socket.resume()
    socket.write("GET /metr")
    const ended = new Promise((resolve) => socket.on("close", resolve))
    await metrics.close()
    await ended
  })
})

describe("the handler in somebody else's server", () => {
  async function mounted(metrics: Prometheus, alter: (url: string) => object = () => ({})) {
    const server = createServer((req, res) => {
      Object.assign(req, alter(req.url ?? ""))
      metrics.handler(req, res)
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    opened.push({
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve())
          server.closeAllConnections()
        }),
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  test("serves its path, the probes, and nothing else", async () => {
    const { metrics } = observed({ port: false, path: "/internal/metrics" })
    const url = await mounted(metrics)
    const status = async (path: string) => (await fetch(url + path)).status
    expect(await status("/internal/metrics")).toBe(200)
    expect(await status("/healthz")).toBe(200)
    expect(await status("/metrics")).toBe(404)
  })

  test("knows its path where a framework cut the mount point off", async () => {
    const { metrics } = observed({ port: false })
    const url = await mounted(metrics, (whole) => ({ originalUrl: whole, url: "/" }))
    expect((await fetch(`${url}/metrics`)).status).toBe(200)
    expect((await fetch(`${url}/other`)).status).toBe(404)
  })

  test("answers before it belongs to an app", async () => {
    const url = await mounted(prometheus({ port: false }))
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect((await fetch(`${url}/readyz`)).status).toBe(503)
    expect((await fetch(`${url}/metrics`)).status).toBe(503)
  })
})
