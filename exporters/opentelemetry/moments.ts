import { context, type Link, ROOT_CONTEXT, type Span, SpanKind } from "@opentelemetry/api"
import type { JobHeaders, Transition } from "../../src/model/observer.ts"
import { extract, parseTraceparent } from "./context.ts"
import { type SpanAttributes, systemName } from "./conventions.ts"
import { markFailed, recordFailure } from "./failure.ts"
import type { Tracing } from "./tracing.ts"

type Kind<K extends Transition["kind"]> = Extract<Transition, { kind: K }>

const longestReason = 1024
/** The SDK keeps no more links than this on a span. */
const mostLinks = 128

/** Spans of what happens to a job outside of its runs, and to the worker itself. */
export class MomentSpans {
  readonly #tracing: Tracing
  #shutdown: Span | undefined

  constructor(tracing: Tracing) {
    this.#tracing = tracing
  }

  /** In the trace of the dispatch, made by the process that recovered the job. */
  recovered(stalled: Kind<"stalled">) {
    const tracer = this.#tracing.tracer()
    if (!tracer) return
    const attributes = this.#tracing.about(stalled.task, "recover", undefined, stalled.id)
    attributes["messaging.taskora.action"] = stalled.action
    attributes["messaging.taskora.count"] = stalled.count
    attributes["messaging.taskora.attempt"] = stalled.attempt
    attributes["messaging.taskora.recovery_ms"] = stalled.recoveryMs
    const { context: parent } = extract(stalled.headers)
    const links = linksTo({ previousRun: stalled.previousRun })
    const span = tracer.startSpan(
      `recover ${stalled.task}`,
      { kind: SpanKind.INTERNAL, attributes, links },
      parent,
    )
    if (stalled.action === "failed") markFailed(span, "StalledError")
    span.end()
  }

  /** In the trace of the dispatch, made by the process that noticed it. */
  expired(expired: Kind<"expired">) {
    const tracer = this.#tracing.tracer()
    if (!tracer) return
    const attributes = this.#tracing.about(expired.task, "expire", undefined, expired.id)
    attributes["messaging.taskora.attempt"] = expired.attempts
    attributes["messaging.taskora.outcome"] = expired.discarded ? "discarded" : "expired"
    const { context: parent } = extract(expired.headers)
    const links = linksTo({ previousRun: expired.previousRun })
    const span = tracer.startSpan(
      `expire ${expired.task}`,
      { kind: SpanKind.INTERNAL, attributes, links },
      parent,
    )
    if (!expired.discarded) markFailed(span, "ExpiredError")
    span.end()
  }

  /**
   * In the trace of whoever called `cancel()`, linked to the job's. A request that recovery honoured (the job was
   * active, its worker gone) has no caller in this process: then the job's own trace it is.
   */
  cancelled(cancel: Kind<"removed" | "cancel requested">) {
    const tracer = this.#tracing.tracer()
    if (!tracer) return
    const attributes = this.#tracing.about(cancel.task, "cancel", "settle", cancel.id)
    let parent = context.active()
    if (cancel.kind === "removed") {
      attributes["messaging.taskora.state"] = cancel.state
      attributes["messaging.taskora.reason"] = cancel.reason?.slice(0, longestReason)
      if (cancel.state === "active") parent = extract(cancel.headers).context
    } else attributes["messaging.taskora.state"] = "active"
    const span = tracer.startSpan(
      `cancel ${cancel.task}`,
      { kind: SpanKind.CLIENT, attributes, links: linksTo(cancel) },
      parent,
    )
    if (cancel.kind === "removed") {
      const reason: SpanAttributes = { "messaging.taskora.reason": attributes["messaging.taskora.reason"] }
      span.addEvent("cancelled", reason)
    }
    span.end()
  }

  workflowEnded({ id, name, outcome, durationMs, headers }: Kind<"workflow ended">) {
    const server = this.#tracing.server()
    const attributes: SpanAttributes = {
      "messaging.system.name": systemName,
      "messaging.operation.name": "end",
      "messaging.client.id": this.#tracing.instance,
      "messaging.taskora.workflow": id,
      "messaging.taskora.outcome": outcome,
      "messaging.taskora.duration_ms": durationMs,
      "server.address": server.address,
      "server.port": server.port,
    }
    const { context: parent } = extract(headers)
    const span = this.#tracing
      .tracer()
      ?.startSpan(`end ${name}`, { kind: SpanKind.INTERNAL, attributes }, parent)
    if (outcome === "failed" && span) markFailed(span, "WorkflowFailedError")
    span?.end()
  }

  /** In the trace of whoever called `retry()` or `retryAll()`, linked to the jobs' dispatches and last runs. */
  revived({ task, jobs }: Kind<"revived">) {
    const tracer = this.#tracing.tracer()
    if (!tracer) return
    const attributes = this.#tracing.about(
      task,
      "retry",
      undefined,
      jobs.length === 1 ? jobs[0]?.id : undefined,
    )
    if (jobs.length > 1) attributes["messaging.batch.message_count"] = jobs.length
    const links = jobs.flatMap(linksTo).slice(0, mostLinks)
    tracer.startSpan(`retry ${task}`, { kind: SpanKind.CLIENT, attributes, links }, context.active()).end()
  }

  ready({ tasks }: Kind<"worker ready">) {
    this.#worker("worker start", tasks)?.end()
  }

  closing() {
    this.#shutdown ??= this.#worker("worker shutdown", this.#tracing.tasks)
  }

  closed() {
    this.#shutdown?.end()
    this.#shutdown = undefined
  }

  failed({ error, errorKind }: Kind<"worker error">) {
    const span = this.#worker("worker error", undefined)
    if (!span) return
    span.setAttribute("messaging.taskora.error_kind", errorKind)
    recordFailure(span, error.name, error, this.#tracing.options.capture.errors)
    span.end()
  }

  /** From the root: what is active while a worker starts, fails or stops is nobody's. */
  #worker(name: string, tasks: readonly string[] | undefined): Span | undefined {
    const server = this.#tracing.server()
    const attributes: SpanAttributes = {
      "messaging.system.name": systemName,
      "messaging.client.id": this.#tracing.instance,
      "server.address": server.address,
      "server.port": server.port,
      "messaging.taskora.worker": this.#tracing.instance,
      "messaging.taskora.tasks": tasks && [...tasks],
    }
    return this.#tracing.tracer()?.startSpan(name, { kind: SpanKind.INTERNAL, attributes }, ROOT_CONTEXT)
  }
}

function linksTo(job: { readonly headers?: JobHeaders; readonly previousRun?: string | undefined }): Link[] {
  const positions = [job.headers && extract(job.headers).position, parseTraceparent(job.previousRun)]
  return positions.flatMap((position) => (position ? [{ context: position }] : []))
}
