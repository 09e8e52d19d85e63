import type { IncomingMessage, ServerResponse } from "node:http"
import { Cluster } from "../src/cluster.ts"
import type { Adapter } from "../src/index.ts"
import type { Observer } from "../src/model/observer.ts"
import { Observers } from "../src/model/observers.ts"
import { checkNames, invalid } from "../src/model/options.ts"
import { type Prometheus, type PrometheusOptions, prometheus, type Rendered } from "./prometheus.ts"

/** Options of the endpoint are those of `prometheus()`. */
export interface ClusterExporterOptions
  extends Pick<PrometheusOptions, "port" | "host" | "path" | "labels" | "bearerToken" | "taskLimit"> {
  /** Where the cluster's jobs are: `redisAdapter(url, { prefix })`, with the prefix of its apps. */
  readonly adapter: Adapter
  /** More ways to show the same numbers, such as `opentelemetry()`. Default none. */
  readonly observers?: readonly Observer[]
  /** Hears in words that the store was lost and that it is back. Default: printed with `console.warn`. */
  readonly report?: (message: string) => void
}

const what = "the options of clusterExporter()"
const endpointNames = ["port", "host", "path", "labels", "bearerToken", "taskLimit"] as const
const names = ["adapter", "observers", "report", ...endpointNames] satisfies (keyof ClusterExporterOptions)[]

/**
 * Shows the queues of a whole cluster, of every task under a prefix, also while no worker lives. It is a process beside
 * the cluster: it declares no task, is no worker, writes nothing, and one that is started anew goes on where the last one
 * ended. `taskora exporter` is this as a command.
 *
 * ```ts
 * const exporter = clusterExporter({ adapter: redisAdapter("redis://localhost:6379", { prefix: "shop" }) })
 * await exporter.start()
 * ```
 * @throws TaskoraError (`INVALID`) for an option that is unknown or impossible, by name.
 */
export function clusterExporter(options: ClusterExporterOptions): ClusterExporter {
  checkNames(options, names, what)
  const { adapter, observers = [], report = print, ...endpoint } = options
  if (typeof adapter?.open !== "function")
    throw invalid(`clusterExporter(): adapter is required: redisAdapter("redis://localhost:6379")`)
  if (!Array.isArray(observers) || observers.some((observer) => typeof observer?.name !== "string"))
    throw invalid("clusterExporter(): observers must be a list of observers, such as opentelemetry()")
  if (typeof report !== "function")
    throw invalid("clusterExporter(): report must be a function that takes a message")
  return new ClusterExporter(prometheus(endpoint), { adapter, observers, report })
}

export type { ClusterExporter }

interface Around {
  readonly adapter: Adapter
  readonly observers: readonly Observer[]
  readonly report: (message: string) => void
}

class ClusterExporter {
  readonly #metrics: Prometheus
  readonly #observers: Observers
  readonly #cluster: Cluster
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(metrics: Prometheus, { adapter, observers, report }: Around) {
    this.#metrics = metrics
    this.#observers = new Observers([metrics, ...observers], (name, error) =>
      report(`the observer ${name} failed: ${String(error)}`),
    )
    const listeners = {
      lost: (error: Error) => report(`${error.message}; trying again`),
      back: () => report("connected to the store"),
    }
    this.#cluster = new Cluster(adapter, { observers: this.#observers, listeners })
    this.#observers.source(this.#cluster.source)
  }

  /** The port that the endpoint is bound to; undefined while it is closed. */
  get port(): number | undefined {
    return this.#metrics.port
  }

  /** For one's own server: the metrics at `path`, `/healthz` and `/readyz`; 404 for anything else. */
  get handler(): (req: IncomingMessage, res: ServerResponse) => void {
    return this.#metrics.handler
  }

  /** What a scrape with this `Accept` header would read. */
  render(accept?: string): Promise<Rendered> {
    return this.#metrics.render(accept)
  }

  /** Opens the endpoint alone, unless `port` is false; `start()` does it too. @throws TaskoraError where the port is taken */
  async open(): Promise<void> {
    if (this.#closing === undefined) await this.#observers.open()
  }

  /**
   * Opens the endpoint and connects. While the store cannot be reached it goes on trying, with `taskora_store_up 0` and
   * 503 on `/readyz`. Resolves when the cluster can be read for the first time.
   * @throws TaskoraError where trying again is of no use: port taken, wrong password, missing permission, server too old,
   *   other wire version. It is closed then.
   */
  start(): Promise<void> {
    this.#starting ??= this.#start()
    return this.#starting
  }

  /** Ends connection and endpoint; what other observers hold is sent. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #start(): Promise<void> {
    try {
      await this.open()
      await this.#cluster.connect()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #close(): Promise<void> {
    await this.#observers.close()
    await this.#cluster.close()
  }
}

function print(message: string): void {
  console.warn(`[taskora] exporter: ${message}`)
}
