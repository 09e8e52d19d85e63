import type { IncomingMessage, ServerResponse } from "node:http"
import type { Registry } from "prom-client"
import { TaskoraError } from "../src/model/errors.ts"
import type { Observer, Source, StoreCall, Transition } from "../src/model/observer.ts"
import { invalid } from "../src/model/options.ts"
import { type Measure, measure } from "./measure/measure.ts"
import type { Recorder } from "./measure/recorder.ts"
import { foreignFamilies, loadPromClient, startDefaultMetrics } from "./prometheus/defaults.ts"
import { type Exposed, Exposition } from "./prometheus/exposition.ts"
import { type PrometheusOptions, type ResolvedOptions, resolveOptions } from "./prometheus/options.ts"
import { facadeRegistry } from "./prometheus/registry.ts"
import { collect, storeWaitMs, unready } from "./prometheus/scrape.ts"
import { contentTypes, send } from "./prometheus/send.ts"
import type { Labels } from "./prometheus/text.ts"
import { negotiateFormat } from "./server/accept.ts"
import { Endpoint } from "./server/endpoint.ts"
import { route } from "./server/routes.ts"

export type { PrometheusOptions } from "./prometheus/options.ts"
export type { Prometheus }

/** One scrape's answer. */
export interface Rendered {
  readonly contentType: string
  readonly body: string
}

/**
 * Metrics for Prometheus: an observer for `createTaskora({ observers: [prometheus()] })`. Its endpoint opens with the
 * app, on `127.0.0.1:9464/metrics` unless told otherwise, and closes with it.
 *
 * @throws TaskoraError (`INVALID`) for an option that is unknown or impossible, by name.
 */
export function prometheus(options: PrometheusOptions = {}): Prometheus {
  return new Prometheus(resolveOptions(options))
}

class Prometheus implements Observer {
  readonly name = "prometheus"
  readonly #options: ResolvedOptions
  #endpoint: Endpoint | undefined
  #opening: Promise<void> | undefined
  #measure: Measure | undefined
  #recorder: Recorder | undefined
  #exposition: Exposition | undefined
  #registry: Registry | undefined
  #defaultMetrics: Registry | undefined
  #runtime: Measure["runtime"] | undefined
  #warned = false

  constructor(options: ResolvedOptions) {
    this.#options = options
  }

  /** The port that the endpoint is bound to; undefined while it is closed. */
  get port(): number | undefined {
    return this.#endpoint?.port
  }

  /** The same numbers as a prom-client registry, to be merged with one's own. Needs prom-client. */
  get registry(): Registry {
    if (this.#registry === undefined) {
      const promClient = loadPromClient(".registry")
      const read = () => this.#collect(storeWaitMs(undefined), false)
      const defaults = this.#options.defaultMetrics ? [this.#defaults()] : []
      this.#registry = facadeRegistry(promClient, read, this.#constantLabels(), defaults)
    }
    return this.#registry
  }

  /** For one's own server: the metrics at `path`, `/healthz` and `/readyz`; 404 for anything else. */
  readonly handler = (req: IncomingMessage, res: ServerResponse): void => {
    const { path, bearerToken } = this.#options
    route(
      {
        path,
        bearerToken,
        attached: () => this.#measure !== undefined,
        unready: () => unready(this.#measure?.source),
        metrics: (request, response) => this.#answer(request, response),
        failed: (error) => this.#warn(error),
      },
      req,
      res,
    )
  }

  /** What a scrape with this `Accept` header would read. */
  async render(accept?: string): Promise<Rendered> {
    const format = negotiateFormat(accept)
    const exposed = await this.#collect(storeWaitMs(undefined), true)
    let body = ""
    for await (const slice of this.#expose().render(exposed, format)) body += slice
    return { contentType: contentTypes[format], body }
  }

  /**
   * Opens the endpoint; `start()` does it by itself. Does nothing where it is open.
   * @throws TaskoraError (`INVALID`) that names port and option where the port is taken or `port` is false.
   */
  async listen(): Promise<void> {
    const { port, host } = this.#options
    if (port === false) throw invalid('prometheus(): listen() needs a port, and option "port" is false.')
    this.#opening ??= this.#listen(port, host)
    await this.#opening
  }

  async close(): Promise<void> {
    this.#runtime?.stop()
    this.#runtime = undefined
    const opening = this.#opening
    if (opening === undefined) return
    this.#opening = undefined
    // Whoever opened it was told why it failed; there is nothing to close then.
    await opening.catch(() => {})
    await this.#endpoint?.close()
    this.#endpoint = undefined
  }

  source(source: Source): void {
    if (this.#measure !== undefined && this.#measure.source !== source) {
      throw invalid("One prometheus() observer serves one app: make another for this one.")
    }
    const { buckets, taskLimit } = this.#options
    const joined = measure(source)
    joined.configure({ buckets, ...(taskLimit === undefined ? {} : { taskLimit }) })
    this.#measure = joined
    this.#recorder = joined.join(this)
  }

  async open(): Promise<void> {
    if (this.#options.defaultMetrics) this.#defaults()
    if (this.#runtime === undefined) {
      this.#runtime = this.#measure?.runtime
      this.#runtime?.start()
    }
    if (this.#options.port !== false) await this.listen()
  }

  transition(transition: Transition): void {
    this.#recorder?.transition(transition)
  }

  storeCall<T>(call: StoreCall, run: () => Promise<T>): Promise<T> {
    return this.#recorder === undefined ? run() : this.#recorder.storeCall(call, run)
  }

  async #listen(port: number, host: string): Promise<void> {
    const endpoint = new Endpoint(this.handler)
    try {
      await endpoint.open(port, host)
    } catch (cause) {
      this.#opening = undefined
      const why = (cause as NodeJS.ErrnoException).code === "EADDRINUSE" ? "the port is taken" : String(cause)
      throw new TaskoraError(
        `prometheus(): cannot listen on ${host}:${port}: ${why}. Change the option "port" (false opens none).`,
        "INVALID",
        { cause },
      )
    }
    this.#endpoint = endpoint
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const patience = req.headers["x-prometheus-scrape-timeout-seconds"]?.toString()
    const exposed = await this.#collect(storeWaitMs(patience), true)
    const format = negotiateFormat(req.headers.accept)
    await send(req, res, format, this.#expose().render(exposed, format))
  }

  async #collect(waitMs: number, withForeign: boolean): Promise<Exposed> {
    const joined = this.#measure
    if (joined === undefined) throw invalid("prometheus() is not among the observers of an app yet.")
    const withDefaults = withForeign && this.#options.defaultMetrics
    const foreign = withDefaults ? await foreignFamilies(this.#defaults()) : []
    return collect(joined, { queueGauges: this.#options.queueGauges, waitMs }, foreign)
  }

  #expose(): Exposition {
    this.#exposition ??= new Exposition(this.#constantLabels(), this.#options.exemplar)
    return this.#exposition
  }

  #constantLabels(): Labels {
    const prefix = this.#measure?.source.prefix ?? ""
    return [...Object.entries(this.#options.labels), ...(prefix === "" ? [] : [["prefix", prefix] as const])]
  }

  #defaults(): Registry {
    this.#defaultMetrics ??= startDefaultMetrics()
    return this.#defaultMetrics
  }

  /** Once: a scraper comes every few seconds. */
  #warn(error: unknown): void {
    if (this.#warned) return
    this.#warned = true
    process.emitWarning(`taskora: a scrape of the metrics failed: ${String(error)}`)
  }
}
