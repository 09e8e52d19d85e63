import type { AppEventName, TaskEventName } from "../src/model/events.ts"
import {
  type EventFacts,
  type FieldFacts,
  metaFacts,
  taskEventFacts,
  workerErrorFacts,
  workerEventFacts,
} from "./catalogue/payloads.ts"
import { eventInstruments, prometheusName } from "./catalogue.ts"
import { code, table } from "./markdown.ts"
import { eventSpans, spans } from "./opentelemetry/spans.ts"

/** The facts of one event without the types of its own. */
const taskEvents: Readonly<Record<string, EventFacts>> = taskEventFacts

/** The page `docs/events.md`. */
export function renderEventsReference(): string {
  return `${[
    "# Events",
    "",
    "<!-- Generated from exporters/catalogue/payloads.ts, which is held against src/model/events.ts. Do not edit. -->",
    "",
    ...introduction,
    "",
    "## Payloads",
    "",
    table(["Event", "Payload"], Object.entries(taskEvents).map(payloadRow)),
    "",
    "Events of the app (`task:completed` and so on) add `{ task: string }` to each payload.",
    "",
    ...Object.keys(taskEventFacts).flatMap((name) => section(name as TaskEventName)),
    "## Events of the workers",
    "",
    "`taskora.on` only. They tell of this process alone, and no other process hears them.",
    "",
    table(
      ["Event", "When", "Listener gets"],
      Object.entries(workerEventFacts).map(([name, { when, payload }]) => [code(name), when, payload]),
    ),
    "",
    "`error.kind` of `worker:error`:",
    "",
    table(
      ["Kind", "Meaning"],
      Object.entries(workerErrorFacts).map(([kind, meaning]) => [code(kind), meaning]),
    ),
    "",
    "## Each event in metrics and traces",
    "",
    table(
      ["Event", "Metrics", "Spans", "Span event"],
      Object.keys(eventInstruments).map((event) => telemetryRow(event as AppEventName)),
    ),
    "",
    "[metrics.md](metrics.md) and [spans.md](spans.md) say what these mean.",
  ].join("\n")}\n`
}

const introduction = [
  "Three ways to listen, with the same payloads:",
  "",
  '- `task.on("completed", fn)`: the jobs of one task.',
  '- `taskora.on("task:completed", fn)`: the jobs of every task declared in this process, and the events of its workers.',
  '- `handle.on("completed", fn)`: one job, from its own dispatch on.',
  "",
  "Each returns a function that takes the listener off. Every process that listens hears the events of all processes, so N",
  "pods with a listener call it N times for each job: notifications, not work items, and nothing to count with. Each",
  "transition is counted once, in the process that made it, by `prometheus()` and `opentelemetry()`; the last table says",
  "where. Events of one job arrive in the order of its transitions.",
  "",
  "Listeners of task events get a second argument, `meta`:",
  "",
  table(["Field", "Type", "Meaning"], Object.entries(metaFacts).map(fieldRow)),
]

function section(name: TaskEventName): string[] {
  const { when, by, fields } = taskEvents[name]!
  return [
    `### ${code(name)}`,
    "",
    `${when} Made by ${by}.`,
    "",
    table(["Field", "Type", "Meaning"], Object.entries(fields).map(fieldRow)),
    "",
  ]
}

type Field = FieldFacts & { readonly optional?: true }

function fieldRow([name, { type, optional, meaning }]: [string, Field]): string[] {
  return [code(optional ? `${name}?` : name), type.startsWith("the ") ? type : code(type), meaning]
}

/** As the page of events writes it: the words of a field that has only a few stand with it. */
function payloadRow([name, { fields }]: [string, EventFacts]): string[] {
  const words = Object.entries(fields).map(([field, { type, optional }]) => {
    const values = type.startsWith('"') ? `: ${type}` : ""
    return `${field}${optional ? "?" : ""}${values}`
  })
  return [code(name), code(`{ ${words.join(", ")} }`)]
}

function telemetryRow(event: AppEventName): string[] {
  const { spans: keys, event: spanEvent } = eventSpans[event]
  return [
    code(event),
    eventInstruments[event].map((instrument) => code(prometheusName(instrument))).join(", "),
    keys.map((key) => code(spans[key].name)).join(", "),
    spanEvent === undefined ? "" : code(spanEvent),
  ]
}
