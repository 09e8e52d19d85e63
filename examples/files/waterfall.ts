import { SpanStatusCode } from "@opentelemetry/api"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node"
import type { App } from "../../src/index.ts"
import { styled } from "./format.ts"
import type { Traces } from "./traces.ts"

const barWidth = 44

/** The trace of one finished job, or where to look for it. */
export async function showTrace(taskora: App, traces: Traces, id: string): Promise<string> {
  const job = await taskora.inspect().find(id)
  const traceId = job?.trace.dispatch
  if (!job || !traceId) return `no trace of job ${id} is known`
  const title = `trace ${traceId}: ${job.task} job ${id}, ${job.state} in attempt ${job.attempt}`
  const spans = traces.get(traceId)
  if (spans.length === 0) return `${title} (${traces.description})`
  const runs = spans.filter(({ attributes }) => attributes["messaging.taskora.attempt"] !== undefined)
  const elsewhere =
    runs.length < job.attempt ? "\n  other attempts ran, and left their spans, in another process" : ""
  return `${title}\n${waterfall(spans)}${elsewhere}`
}

/** A trace drawn as text: a line per span, children indented below their parent, bars on one time line. */
function waterfall(spans: readonly ReadableSpan[]): string {
  const begin = Math.min(...spans.map(startOf))
  const total = Math.max(...spans.map(endOf)) - begin
  const rows = tree(spans)
  const width = Math.max(...rows.map(({ span, depth }) => 2 * depth + span.name.length))
  const lines = rows.map(({ span, depth }) => {
    const failed = span.status.code === SpanStatusCode.ERROR
    const name = `${"  ".repeat(depth)}${span.name}`.padEnd(width)
    const at = `${(startOf(span) - begin).toFixed(1)}`.padStart(8)
    const took = `${(endOf(span) - startOf(span)).toFixed(1)}`.padStart(7)
    const drawn = bar((startOf(span) - begin) / total, (endOf(span) - startOf(span)) / total)
    return `  ${name} ${styled("dim", at)} ${took} ${styled(failed ? "red" : "cyan", drawn)} ${outcome(span)}`.trimEnd()
  })
  const heading = `  ${"span".padEnd(width)} ${"at ms".padStart(8)} ${"took ms".padStart(7)}`
  return [styled("dim", heading), ...lines].join("\n")
}

/** Parents before their children, in the order in which they began. */
function tree(spans: readonly ReadableSpan[]): { span: ReadableSpan; depth: number }[] {
  const ids = new Set(spans.map((span) => span.spanContext().spanId))
  const inOrder = [...spans].sort((a, b) => startOf(a) - startOf(b))
  const below = (parent: string | undefined, depth: number): { span: ReadableSpan; depth: number }[] =>
    inOrder
      .filter(({ parentSpanContext }) => {
        const id = parentSpanContext?.spanId
        return (id !== undefined && ids.has(id) ? id : undefined) === parent
      })
      .flatMap((span) => [{ span, depth }, ...below(span.spanContext().spanId, depth + 1)])
  return below(undefined, 0)
}

function bar(from: number, share: number): string {
  const start = Math.min(barWidth - 1, Math.floor(from * barWidth))
  const length = Math.max(1, Math.min(barWidth - start, Math.round(share * barWidth)))
  return `|${" ".repeat(start)}${"#".repeat(length)}${" ".repeat(barWidth - start - length)}|`
}

function outcome({ attributes, status, events }: ReadableSpan): string {
  const attempt = attributes["messaging.taskora.attempt"]
  const words = attempt === undefined ? [] : [`attempt ${attempt}:`]
  const ended = attributes["messaging.taskora.outcome"]
  if (ended) words.push(String(ended))
  if (status.code === SpanStatusCode.ERROR) words.push(String(attributes["error.type"]))
  const delay = events.find(({ name }) => name === "retry scheduled")?.attributes?.[
    "messaging.taskora.delay_ms"
  ]
  if (delay !== undefined) words.push(`(next in ${delay} ms)`)
  return words.join(" ")
}

function startOf({ startTime: [s, ns] }: ReadableSpan): number {
  return s * 1000 + ns / 1e6
}

function endOf({ endTime: [s, ns] }: ReadableSpan): number {
  return s * 1000 + ns / 1e6
}
