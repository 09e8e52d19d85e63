import { once } from "node:events"
import { createServer, type IncomingMessage, type Server } from "node:http"
import type { AddressInfo } from "node:net"

interface KeyValue {
  readonly key: string
  readonly value: {
    readonly stringValue?: string
    readonly intValue?: number
    readonly doubleValue?: number
    readonly boolValue?: boolean
  }
}

interface OtlpResource {
  readonly resource: { readonly attributes: readonly KeyValue[] }
}

export interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** 1 internal, 3 client, 4 producer, 5 consumer. */
  readonly kind: number
  /** 0 unset, 2 error. */
  readonly status: { readonly code: number; readonly message?: string }
  readonly attributes: readonly KeyValue[]
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly events: readonly { readonly name: string; readonly attributes: readonly KeyValue[] }[]
}

export interface OtlpMetric {
  readonly name: string
  readonly histogram?: { readonly aggregationTemporality: number; readonly dataPoints: readonly object[] }
  readonly sum?: { readonly dataPoints: readonly { readonly asDouble?: number; readonly asInt?: number }[] }
}

interface TraceRequest {
  readonly resourceSpans: readonly (OtlpResource & {
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[]
  })[]
}

interface MetricRequest {
  readonly resourceMetrics: readonly (OtlpResource & {
    readonly scopeMetrics: readonly { readonly metrics: readonly OtlpMetric[] }[]
  })[]
}

export interface OtlpLine {
  readonly severityText: string
  readonly body: { readonly stringValue?: string }
  readonly traceId?: string
  readonly attributes: readonly KeyValue[]
}

interface LogRequest {
  readonly resourceLogs: readonly (OtlpResource & {
    readonly scopeLogs: readonly { readonly logRecords: readonly OtlpLine[] }[]
  })[]
}

/** How it answers: as it should, with an error that is not retried, or never. */
export type Behaviour = "accept" | "refuse" | "hang"

/** Receives traces, metrics and logs over OTLP/HTTP in JSON, on a free port of the loopback interface. */
export class OtlpReceiver {
  readonly spans: OtlpSpan[] = []
  readonly metrics: OtlpMetric[] = []
  readonly lines: OtlpLine[] = []
  readonly resources: Record<string, string | number | boolean | undefined>[] = []
  readonly requests: { readonly path: string; readonly headers: IncomingMessage["headers"] }[] = []
  /** Of all requests, as they came. */
  readonly bodies: string[] = []
  behaviour: Behaviour = "accept"
  readonly #server: Server
  #held: (() => void)[] = []

  private constructor() {
    this.#server = createServer((request, response) => {
      void text(request).then((body) => {
        const path = request.url ?? ""
        this.requests.push({ path, headers: request.headers })
        this.bodies.push(body)
        if (this.behaviour === "hang") return this.#held.push(() => response.writeHead(200).end("{}"))
        if (this.behaviour === "refuse") return response.writeHead(400).end()
        if (path.endsWith("/v1/traces")) this.#traces(JSON.parse(body))
        else if (path.endsWith("/v1/metrics")) this.#metrics(JSON.parse(body))
        else if (path.endsWith("/v1/logs")) this.#logs(JSON.parse(body))
        else return response.writeHead(404).end()
        response.writeHead(200, { "content-type": "application/json" }).end("{}")
      })
    })
  }

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver()
    receiver.#server.listen(0, "127.0.0.1")
    await once(receiver.#server, "listening")
    return receiver
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Answers what hangs, and hangs no more. */
  release() {
    this.behaviour = "accept"
    for (const answer of this.#held.splice(0)) answer()
  }

  async stop() {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, "close")
  }

  #traces({ resourceSpans }: TraceRequest) {
    for (const { resource, scopeSpans } of resourceSpans) {
      this.resources.push(attributes(resource.attributes))
      this.spans.push(...scopeSpans.flatMap((scope) => scope.spans))
    }
  }

  #logs({ resourceLogs }: LogRequest) {
    for (const { resource, scopeLogs } of resourceLogs) {
      this.resources.push(attributes(resource.attributes))
      this.lines.push(...scopeLogs.flatMap((scope) => scope.logRecords))
    }
  }

  #metrics({ resourceMetrics }: MetricRequest) {
    for (const { resource, scopeMetrics } of resourceMetrics) {
      this.resources.push(attributes(resource.attributes))
      this.metrics.push(...scopeMetrics.flatMap((scope) => scope.metrics))
    }
  }
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

export function attributes(list: readonly KeyValue[]) {
  return Object.fromEntries(
    list.map(({ key, value }) => [
      key,
      value.stringValue ?? value.intValue ?? value.doubleValue ?? value.boolValue,
    ]),
  )
}
