import type { Tracer } from "@opentelemetry/api"
import type { Attempt, Source } from "../../src/model/observer.ts"
import { type SpanAttributes, systemName } from "./conventions.ts"
import type { ResolvedOptions } from "./options.ts"
import { TracerSource } from "./tracers.ts"

/** What every kind of span needs: the tracer, the options, and facts of the app. */
export class Tracing {
  readonly options: ResolvedOptions
  readonly #tracers: TracerSource
  #source: Source | undefined

  constructor(options: ResolvedOptions) {
    this.options = options
    this.#tracers = new TracerSource(options.tracerProvider)
  }

  set source(source: Source) {
    this.#source = source
    this.#tracers.version = source.version
  }

  /** Undefined while there is nobody to make spans for. */
  tracer(): Tracer | undefined {
    return this.options.traces ? this.#tracers.current() : undefined
  }

  get instance(): string | undefined {
    return this.#source?.instance
  }

  get version(): string | undefined {
    return this.#source?.version
  }

  get tasks(): string[] {
    return this.#source?.tasks().map((task) => task.name) ?? []
  }

  server(): ReturnType<Source["server"]> {
    return this.#source?.server() ?? nowhere
  }

  /** What every span of an operation on a job says. One literal: samplers see it all, and it is made once. */
  about(task: string, operation: string, type: "settle" | undefined, id: string | undefined): SpanAttributes {
    const server = this.server()
    return {
      "messaging.system.name": systemName,
      "messaging.operation.name": operation,
      "messaging.operation.type": type,
      "messaging.destination.name": task,
      "messaging.message.id": id,
      "messaging.client.id": this.instance,
      "server.address": server.address,
      "server.port": server.port,
    }
  }

  aboutRun(attempt: Attempt): SpanAttributes {
    const server = this.server()
    return {
      "messaging.system.name": systemName,
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": attempt.task,
      "messaging.message.id": attempt.id,
      "messaging.message.body.size": attempt.payloadBytes,
      "messaging.client.id": this.instance,
      "server.address": server.address,
      "server.port": server.port,
      "messaging.taskora.attempt": attempt.attempt,
      "messaging.taskora.max_attempts": attempt.maxAttempts,
      "messaging.taskora.wait_ms": attempt.waitMs,
      "messaging.taskora.delay_ms": attempt.delayMs,
      "messaging.taskora.priority": attempt.priority,
      "messaging.taskora.worker": attempt.worker,
    }
  }
}

const nowhere: ReturnType<Source["server"]> = Object.freeze({})
