import {
  type Context,
  context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type Tracer,
} from "@opentelemetry/api"
import type { Dispatch, JobHeaders, Transition } from "../../src/model/observer.ts"
import { inject } from "./context.ts"
import { type SpanAttributes, systemName } from "./conventions.ts"
import { markFailed } from "./failure.ts"
import { setSpan } from "./in-span.ts"
import type { Tracing } from "./tracing.ts"

type Kind<K extends Transition["kind"]> = Extract<Transition, { kind: K }>

/** The SDK keeps no more links than this on a span. */
const mostLinks = 128

interface Sending {
  readonly span: Span
  /** Jobs whose answer is still to come: a large `dispatchMany` is answered in parts. */
  waiting: number
  readonly counts: Counts
}

/** What else became of a dispatch's jobs than that they were stored. */
type Counts = Record<"duplicates" | "throttled" | "replaced", number>

/** The `send` and `create` spans, in the trace of whoever dispatches. */
export class SendSpans {
  readonly #tracing: Tracing
  readonly #open = new WeakMap<Dispatch, Sending>()
  /** Where Redis commands are wanted in traces: by task, the spans whose jobs calls will carry; true where several may. */
  readonly #unsent = new Map<string, Map<Span, boolean>>()

  constructor(tracing: Tracing) {
    this.#tracing = tracing
  }

  /** Called in the dispatcher's context. Whether or not there is a span of ours, that context travels. */
  begin(dispatch: Dispatch): JobHeaders | readonly JobHeaders[] | undefined {
    const tracer = this.#tracing.tracer()
    if (!tracer) return inject(context.active())
    if (dispatch.workflow) return this.#workflow(tracer, dispatch)
    if (dispatch.many && this.#tracing.options.batchCreates) return this.#createEach(tracer, dispatch)

    const span = this.#send(tracer, dispatch, SpanKind.PRODUCER, undefined)
    return inject(setSpan(context.active(), span))
  }

  /** A span per job, so that each job's runs hang below one of its own; the call is linked to them all, up to a bound. */
  #createEach(tracer: Tracer, dispatch: Dispatch): readonly JobHeaders[] {
    const active = context.active()
    const links: Link[] = []
    const headers: JobHeaders[] = []
    for (let index = 0; index < dispatch.count; index++) {
      const id = dispatch.ids?.[index]
      const attributes = this.#about(dispatch, "create", id)
      const span = tracer.startSpan(
        `create ${dispatch.task}`,
        { kind: SpanKind.PRODUCER, attributes },
        active,
      )
      headers.push(inject(setSpan(active, span)) ?? {})
      if (links.length < mostLinks) links.push({ context: span.spanContext() })
      span.end()
    }
    this.#send(tracer, dispatch, SpanKind.CLIENT, links)
    return headers
  }

  #send(tracer: Tracer, dispatch: Dispatch, kind: SpanKind, links: Link[] | undefined): Span {
    const attributes = this.#about(dispatch, "send", dispatch.id)
    if (dispatch.many) attributes["messaging.batch.message_count"] = dispatch.count
    const options = links ? { kind, attributes, links } : { kind, attributes }
    const span = tracer.startSpan(`send ${dispatch.task}`, options, context.active())
    if (span.isRecording()) {
      const counts = { duplicates: 0, throttled: 0, replaced: 0 }
      this.#open.set(dispatch, { span, waiting: dispatch.count, counts })
    }
    if (this.#tracing.options.storeSpans) this.#expectCall(dispatch, span)
    return span
  }

  #expectCall({ task, many }: Dispatch, span: Span) {
    const spans = this.#unsent.get(task) ?? new Map<Span, boolean>()
    // Only a span that is recorded hears when all of its jobs were answered.
    this.#unsent.set(task, spans.set(span, many && span.isRecording()))
  }

  /** Where the commands of a call that stores jobs belong: below the dispatch if it is one's alone, else to nobody. */
  contextOfCall(task: string): Context {
    const spans = this.#unsent.get(task)
    const [only, more] = spans?.keys() ?? []
    for (const [span, hasMoreCalls] of spans ?? []) if (!hasMoreCalls) spans?.delete(span)
    return only !== undefined && more === undefined ? setSpan(ROOT_CONTEXT, only) : ROOT_CONTEXT
  }

  #about(dispatch: Dispatch, operation: "send" | "create", id: string | undefined): SpanAttributes {
    const server = this.#tracing.server()
    return {
      "messaging.system.name": systemName,
      "messaging.operation.name": operation,
      "messaging.operation.type": operation,
      "messaging.destination.name": dispatch.task,
      "messaging.message.id": id,
      "messaging.client.id": this.#tracing.instance,
      "server.address": server.address,
      "server.port": server.port,
      "messaging.taskora.delay_ms": dispatch.delayMs,
      "messaging.taskora.priority": dispatch.priority,
      "messaging.taskora.schedule": dispatch.schedule,
    }
  }

  stored(answer: Kind<"dispatched">) {
    const { dispatch, stored, duplicates, throttled = 0, replaced = 0, payloadBytes } = answer
    const sending = this.#open.get(dispatch)
    if (!sending) return
    if (!dispatch.many && stored === 1)
      sending.span.setAttribute("messaging.message.body.size", payloadBytes[0] ?? 0)
    if (dispatch.gate) sending.span.setAttribute("messaging.taskora.decision", decision(answer))
    const { counts } = sending
    counts.duplicates += duplicates
    counts.throttled += throttled
    counts.replaced += replaced
    this.#answered(dispatch, sending, stored + duplicates + throttled)
  }

  /** The root of what its jobs do. */
  #workflow(tracer: Tracer, dispatch: Dispatch): JobHeaders | undefined {
    const server = this.#tracing.server()
    const attributes: SpanAttributes = {
      "messaging.system.name": systemName,
      "messaging.operation.name": "dispatch",
      "messaging.operation.type": "send",
      "messaging.client.id": this.#tracing.instance,
      "messaging.batch.message_count": dispatch.count,
      "messaging.taskora.workflow": dispatch.id,
      "server.address": server.address,
      "server.port": server.port,
    }
    const options = { kind: SpanKind.PRODUCER, attributes }
    const span = tracer.startSpan(`dispatch ${dispatch.task}`, options, context.active())
    if (span.isRecording())
      this.#open.set(dispatch, { span, waiting: 1, counts: { duplicates: 0, throttled: 0, replaced: 0 } })
    return inject(setSpan(context.active(), span))
  }

  workflowStored({ dispatch }: Kind<"workflow started">) {
    const sending = this.#open.get(dispatch)
    if (sending) this.#answered(dispatch, sending, 1)
  }

  workflowRefused({ dispatch, error }: Kind<"workflow refused">) {
    const sending = this.#open.get(dispatch)
    if (!sending) return
    markFailed(sending.span, error.name)
    this.#answered(dispatch, sending, 1)
  }

  /** The failure is this span's: the caller may well expect it, so the caller's own span is left alone. */
  rejected({ dispatch, count, reason, error }: Kind<"rejected">) {
    const sending = this.#open.get(dispatch)
    if (!sending) return
    markFailed(sending.span, error.name)
    sending.span.setAttribute("messaging.taskora.reason", reason)
    this.#answered(dispatch, sending, count)
  }

  #answered(dispatch: Dispatch, sending: Sending, count: number) {
    sending.waiting -= count
    if (sending.waiting > 0) return
    this.#open.delete(dispatch)
    this.#unsent.get(dispatch.task)?.delete(sending.span)
    for (const name of ["duplicates", "throttled", "replaced"] as const)
      if (sending.counts[name] > 0)
        sending.span.setAttribute(`messaging.taskora.${name}`, sending.counts[name])
    sending.span.end()
  }
}

/** What the store decided of one job. */
function decision({ duplicates, throttled = 0, replaced = 0 }: Kind<"dispatched">): string {
  if (duplicates > 0) return "duplicate"
  if (throttled > 0) return "throttled"
  return replaced > 0 ? "debounced" : "stored"
}
