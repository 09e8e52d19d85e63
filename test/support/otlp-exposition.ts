import { once } from "node:events"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { OtlpReceiver } from "./otlp-receiver.ts"
import { type OtlpMetricsRequest, translate } from "./otlp-translation.ts"

/**
 * Receives the metrics of one process over OTLP, and shows what it was told last to whoever scrapes it: what an
 * OpenTelemetry Collector between the two would do.
 */
export class OtlpExposition {
  readonly receiver: OtlpReceiver
  readonly #server: Server

  private constructor(receiver: OtlpReceiver) {
    this.receiver = receiver
    this.#server = createServer((_, response) => {
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(this.text())
    })
  }

  static async start(): Promise<OtlpExposition> {
    const exposition = new OtlpExposition(await OtlpReceiver.start())
    exposition.#server.listen(0, "127.0.0.1")
    await once(exposition.#server, "listening")
    return exposition
  }

  /** Where OTLP goes. */
  get endpoint(): string {
    return this.receiver.endpoint
  }

  /** Where to scrape. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** "" while nothing has arrived. */
  text(): string {
    const { requests, bodies } = this.receiver
    const last = requests.findLastIndex(({ path }) => path.endsWith("/v1/metrics"))
    return last === -1 ? "" : translate(JSON.parse(bodies[last]!) as OtlpMetricsRequest)
  }

  async stop(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, "close")
    await this.receiver.stop()
  }
}
