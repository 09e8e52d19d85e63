import { context, ROOT_CONTEXT } from "@opentelemetry/api"
import type { Observer, StoreCall, Transition } from "../../src/model/observer.ts"
import { flushBeforeClosed } from "./closing.ts"
import { suppressed } from "./context.ts"
import { emitLine, findLogs } from "./logs.ts"
import { Metrics } from "./metrics.ts"
import { MomentSpans } from "./moments.ts"
import { type OpenTelemetryOptions, resolveOptions } from "./options.ts"
import { RunSpans } from "./runs.ts"
import { SendSpans } from "./sends.ts"
import { Tracing } from "./tracing.ts"

/**
 * An observer that makes OpenTelemetry spans and metrics of what the app does, through `@opentelemetry/api` alone:
 * the SDK is the user's, and may be registered before or after.
 *
 * ```ts
 * createTaskora({ adapter, observers: [opentelemetry()] })
 * ```
 * @throws TaskoraError (`INVALID`) for an unknown option or an impossible value
 */
export function opentelemetry(options?: OpenTelemetryOptions): Observer {
  const resolved = resolveOptions(options)
  const tracing = new Tracing(resolved)
  const sends = new SendSpans(tracing)
  const runs = new RunSpans(tracing)
  const moments = new MomentSpans(tracing)
  let numbers: Metrics | undefined
  let logs: Awaited<ReturnType<typeof findLogs>>
  const observer: Observer = {
    name: "opentelemetry",
    source(source) {
      tracing.source = source
      if (resolved.metrics) numbers = new Metrics(resolved, source, observer)
    },
    async open() {
      numbers?.refresh()
      logs ??= await findLogs()
    },
    dispatching(dispatch) {
      numbers?.refresh()
      return sends.begin(dispatch)
    },
    attempt(attempt, run) {
      numbers?.refresh()
      return runs.run(attempt, run)
    },
    transition(transition) {
      if (transition.kind === "log") {
        if (logs) emitLine(logs, transition, { version: tracing.version, redact: resolved.capture.data })
        return
      }
      // Spans first: they give the attempt its position, which the numbers show as exemplars. A sampler or processor of
      // the user's may throw in them, and the numbers of all observers come this way: they stay true.
      try {
        tell(transition, sends, runs, moments)
      } finally {
        numbers?.transition(transition)
      }
    },
    storeCall(call, run) {
      // A worker without jobs makes calls too, and finds an SDK by them that was registered after its start.
      numbers?.refresh()
      const inside = resolved.storeSpans ? contextOf(call, sends) : suppressed
      if (numbers === undefined || call.blocking) return context.with(inside, run)
      return numbers.storeCall(call, () => context.with(inside, run))
    },
    async close() {
      try {
        runs.close()
        moments.closed()
      } finally {
        numbers?.close()
      }
      await flushBeforeClosed()
    },
  }
  return observer
}

function tell(transition: Transition, sends: SendSpans, runs: RunSpans, moments: MomentSpans) {
  switch (transition.kind) {
    case "dispatched":
      return sends.stored(transition)
    case "rejected":
      return sends.rejected(transition)
    case "active":
      runs.begin(transition.attempt)
      return
    case "progress":
      return runs.progress(transition)
    case "completed":
    case "failed":
    case "cancelled":
    case "released":
    case "lost":
      return runs.end(transition)
    case "removed":
    case "cancel requested":
      return moments.cancelled(transition)
    case "revived":
      return moments.revived(transition)
    case "stalled":
      return moments.recovered(transition)
    case "workflow started":
      return sends.workflowStored(transition)
    case "workflow refused":
      return sends.workflowRefused(transition)
    case "workflow ended":
      return moments.workflowEnded(transition)
    case "expired":
      return moments.expired(transition)
    case "worker ready":
      return moments.ready(transition)
    case "worker closing":
      return moments.closing()
    case "worker closed":
      return moments.closed()
    case "worker error":
      return moments.failed(transition)
  }
}

/** Where Redis commands are wanted in traces, a dispatch's belong to it, and those of our loops to nobody. */
function contextOf({ script, task }: StoreCall, sends: SendSpans) {
  return task === undefined || script === "settle" ? ROOT_CONTEXT : sends.contextOfCall(task)
}
