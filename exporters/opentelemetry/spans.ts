import type { AppEventName } from "../../src/model/events.ts"
import { eventInstruments } from "../catalogue.ts"
import { type AttributeName, attributeMeanings, conventionsVersion } from "./conventions.ts"

/** One kind of span, as the reference page shows it. */
export interface SpanFacts {
  readonly name: string
  readonly kind: "PRODUCER" | "CONSUMER" | "CLIENT" | "INTERNAL"
  readonly when: string
  readonly place: string
  /** Besides those of every span on a job, or of every span on a worker. */
  readonly attributes: readonly AttributeName[]
  readonly events: readonly SpanEventName[]
}

export type SpanEventName = "progress" | "exception" | "retry scheduled" | "cancelled"

const ofEverySpan = [
  "messaging.system.name",
  "messaging.client.id",
  "server.address",
  "server.port",
] as const satisfies readonly AttributeName[]

const ofJobs = [
  ...ofEverySpan,
  "messaging.operation.name",
  "messaging.destination.name",
  "messaging.message.id",
] as const satisfies readonly AttributeName[]

const ofWorkers = [...ofEverySpan, "messaging.taskora.worker"] as const satisfies readonly AttributeName[]

const ofDispatches = ["messaging.taskora.delay_ms", "messaging.taskora.priority"] as const

/** Every span that there is. */
export const spans = {
  send: {
    name: "send <task>",
    kind: "PRODUCER",
    when: "`dispatch`, `dispatchMany`, a firing of a schedule: from the call to the store's answer",
    place:
      "child of the caller's active span, root of a trace for a firing; its context travels with the job",
    attributes: [
      ...ofJobs,
      "messaging.operation.type",
      ...ofDispatches,
      "messaging.message.body.size",
      "messaging.batch.message_count",
      "messaging.taskora.decision",
      "messaging.taskora.schedule",
      "messaging.taskora.duplicates",
      "messaging.taskora.throttled",
      "messaging.taskora.replaced",
      "messaging.taskora.reason",
      "error.type",
    ],
    events: [],
  },
  create: {
    name: "create <task>",
    kind: "PRODUCER",
    when: "each job of `dispatchMany`, with `batchCreates: true`",
    place:
      "child of the caller's active span; the `send` span, then of kind CLIENT, is linked to at most 128 of them",
    attributes: [...ofJobs, "messaging.operation.type", ...ofDispatches],
    events: [],
  },
  process: {
    name: "process <task>",
    kind: "CONSUMER",
    when: "one run: from its start to the end of its handler",
    place: "by the relation, see below; linked to the dispatch and to the previous run",
    attributes: [
      ...ofJobs,
      "messaging.operation.type",
      ...ofDispatches,
      "messaging.message.body.size",
      "messaging.taskora.attempt",
      "messaging.taskora.max_attempts",
      "messaging.taskora.wait_ms",
      "messaging.taskora.worker",
      "messaging.taskora.outcome",
      "messaging.taskora.will_retry",
      "error.type",
    ],
    events: ["progress", "exception", "retry scheduled", "cancelled"],
  },
  recover: {
    name: "recover <task>",
    kind: "INTERNAL",
    when: "a worker vanished; made by the process that recovered its job",
    place: "child of the dispatch; linked to the lost run",
    attributes: [
      ...ofJobs,
      "messaging.taskora.action",
      "messaging.taskora.count",
      "messaging.taskora.attempt",
      "messaging.taskora.recovery_ms",
      "error.type",
    ],
    events: [],
  },
  expire: {
    name: "expire <task>",
    kind: "INTERNAL",
    when: "a job was not started within its `ttl`; made by the process that noticed it",
    place: "child of the dispatch; linked to the previous run",
    attributes: [...ofJobs, "messaging.taskora.attempt", "messaging.taskora.outcome", "error.type"],
    events: [],
  },
  cancel: {
    name: "cancel <task>",
    kind: "CLIENT",
    when: "`cancel()` removed the job or asked its worker to stop",
    place: "child of the caller's active span; linked to the dispatch and the run",
    attributes: [
      ...ofJobs,
      "messaging.operation.type",
      "messaging.taskora.state",
      "messaging.taskora.reason",
    ],
    events: ["cancelled"],
  },
  workflowDispatch: {
    name: "dispatch <workflow>",
    kind: "PRODUCER",
    when: "a workflow's `dispatch`: from the call to the store's answer",
    place:
      "child of the caller's active span, and parent of what its jobs make (by their relation), of its end too",
    attributes: [
      ...ofEverySpan,
      "messaging.operation.name",
      "messaging.operation.type",
      "messaging.batch.message_count",
      "messaging.taskora.workflow",
      "error.type",
    ],
    events: [],
  },
  workflowEnd: {
    name: "end <workflow>",
    kind: "INTERNAL",
    when: "a workflow ended; made by the process whose call ended it",
    place: "child of its dispatch",
    attributes: [
      ...ofEverySpan,
      "messaging.operation.name",
      "messaging.taskora.workflow",
      "messaging.taskora.outcome",
      "messaging.taskora.duration_ms",
      "error.type",
    ],
    events: [],
  },
  retry: {
    name: "retry <task>",
    kind: "CLIENT",
    when: "`deadLetters.retry()`, `retryAll()`: each batch of failed jobs that were given another life",
    place: "child of the caller's active span; linked to the dispatches and the last runs, at most 128 links",
    attributes: [...ofJobs, "messaging.batch.message_count"],
    events: [],
  },
  workerStart: {
    name: "worker start",
    kind: "INTERNAL",
    when: "workers became ready",
    place: "a trace of its own",
    attributes: [...ofWorkers, "messaging.taskora.tasks"],
    events: [],
  },
  workerShutdown: {
    name: "worker shutdown",
    kind: "INTERNAL",
    when: "from the call of `close()` until all runs have ended",
    place: "a trace of its own",
    attributes: [...ofWorkers, "messaging.taskora.tasks"],
    events: [],
  },
  workerError: {
    name: "worker error",
    kind: "INTERNAL",
    when: "an error reached `worker:error`",
    place: "a trace of its own",
    attributes: [...ofWorkers, "messaging.taskora.error_kind", "error.type"],
    events: ["exception"],
  },
} as const satisfies Record<string, SpanFacts>

export type SpanKey = keyof typeof spans

/** What each span event carries. */
export const spanEvents: Readonly<Record<SpanEventName, readonly AttributeName[]>> = {
  progress: ["messaging.taskora.progress"],
  exception: ["exception.type", "exception.message", "exception.stacktrace"],
  "retry scheduled": ["messaging.taskora.next_attempt", "messaging.taskora.delay_ms"],
  cancelled: ["messaging.taskora.reason"],
}

/** The spans in which each app event shows, and the span event that tells of it where there is one. */
export const eventSpans: Readonly<
  Record<AppEventName, { readonly spans: readonly SpanKey[]; readonly event?: SpanEventName }>
> = {
  "task:active": { spans: ["process"] },
  "task:progress": { spans: ["process"], event: "progress" },
  "task:completed": { spans: ["process"] },
  "task:failed": { spans: ["process"], event: "exception" },
  "task:retrying": { spans: ["process"], event: "retry scheduled" },
  "task:stalled": { spans: ["recover"] },
  "task:cancelled": { spans: ["process", "cancel"], event: "cancelled" },
  "task:expired": { spans: ["expire"] },
  "workflow:completed": { spans: ["workflowEnd"] },
  "workflow:failed": { spans: ["workflowEnd"] },
  "workflow:cancelled": { spans: ["workflowEnd"] },
  "worker:ready": { spans: ["workerStart"] },
  "worker:error": { spans: ["workerError"], event: "exception" },
  "worker:closing": { spans: ["workerShutdown"] },
}

/** The page `docs/spans.md`. */
export function renderSpansReference(): string {
  const all: readonly SpanFacts[] = Object.values(spans)
  return [
    "# Spans",
    "",
    `What \`opentelemetry()\` makes, by version ${conventionsVersion} of OpenTelemetry's semantic conventions (those for`,
    "messaging are still in development). Generated from the code that makes them: do not edit.",
    "",
    ...table(
      ["Span", "Kind", "When", "Where in a trace"],
      all.map(({ name, kind, when, place }) => [code(name), kind, when, place]),
    ),
    "",
    "## Each event of the app",
    "",
    ...table(
      ["Event", "Span", "Span event", "Metrics"],
      Object.entries(eventSpans).map(([event, { spans: keys, event: spanEvent }]) => [
        code(event),
        keys.map((key) => code(spans[key].name)).join(", "),
        spanEvent ? code(spanEvent) : "",
        eventInstruments[event as AppEventName].map((instrument) => code(instrument.name)).join(", "),
      ]),
    ),
    "",
    "## Relation of a run to its dispatch",
    "",
    ...relations,
    "",
    "## Span events",
    "",
    ...table(
      ["Event", "Attributes"],
      Object.entries(spanEvents).map(([name, attributes]) => [code(name), attributes.map(code).join(", ")]),
    ),
    "",
    "## Attributes",
    "",
    ...table(
      ["Attribute", "Meaning", "Spans"],
      Object.entries(attributeMeanings).map(([name, meaning]) => [code(name), meaning, usersOf(name, all)]),
    ),
    "",
  ].join("\n")
}

const relations = [
  "`relation`, of the app, a task, or one dispatch (the narrowest rules):",
  "",
  "- `auto` (default): the run is a child of the dispatch, so that one job is one trace; a run that became eligible more",
  "  than `linkAfter` (1 minute) after the dispatch starts a new one, and a later run joins the trace of the previous run",
  "  when it became eligible within `linkAfter` of its end.",
  "- `parent`: always a child of the dispatch.",
  "- `link`: always a trace of its own.",
  "",
  "Whatever the relation, a run is linked to its dispatch and to the previous run, and the runs of a dispatch that was not",
  "sampled are its children, so that they are not sampled either. In a new trace the SDK's sampler decides again.",
]

function usersOf(name: string, all: readonly SpanFacts[]): string {
  const isOf = (list: readonly AttributeName[]) => (list as readonly string[]).includes(name)
  const users = all.filter((span) => isOf(span.attributes)).map((span) => code(span.name))
  if (users.length === all.length) return "all"
  const events = Object.entries(spanEvents).filter(([, attributes]) => isOf(attributes))
  return [...users, ...events.map(([event]) => `event ${code(event)}`)].join(", ")
}

function code(text: string): string {
  return `\`${text}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)]
}
