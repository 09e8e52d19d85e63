import {
  eventInstruments,
  type Instrument,
  instruments,
  messagingInstruments,
  prometheusLabel,
  prometheusName,
} from "./catalogue.ts"

/** The reference page of all metrics, from the catalogue. */
export function renderMetricsReference(): string {
  return `${[
    "# Metrics",
    "",
    "<!-- Generated from exporters/catalogue.ts. Do not edit. -->",
    "",
    "Every instrument of Taskora, alike on `/metrics` and over OTLP. A counter counts in the one process that made the",
    "transition: sum it over all instances. What is marked *cluster* is a fact about the whole cluster and alike in",
    "every instance: take `max by (...)`, never a sum.",
    "",
    ...bothPaths,
    "",
    ...section("Counters", "counter"),
    ...section("Gauges", "gauge"),
    ...section("Histograms", "histogram"),
    "## Over OTLP only",
    "",
    "The instruments of OpenTelemetry's messaging conventions, for dashboards that know nothing of Taskora.",
    "",
    table(head, Object.values(messagingInstruments).map(row)),
    "",
    "## Attribute values",
    "",
    "Tasks beyond the limit (300 unless `taskLimit` says otherwise), error types beyond 900 pairs of task and type, and",
    "error types that are no class names share the value `_OTHER`; `taskora_series_overflows_total` counts what went",
    "there.",
    "",
    ...ownLimit,
    "",
    table(["instrument", "attribute", "values"], valueRows()),
    "",
    "## Buckets",
    "",
    table(["histogram", "unit", "upper bounds"], bucketRows()),
    "",
    "## What each event feeds",
    "",
    table(
      ["event", "metrics"],
      Object.entries(eventInstruments).map(([event, fed]) => [
        code(event),
        fed.map((i) => code(prometheusName(i))).join(", "),
      ]),
    ),
  ].join("\n")}\n`
}

const ownLimit = [
  "An SDK has a limit of its own: of an instrument's label sets its meter keeps 2,000, and loses values of further ones.",
  "An app with more than 150 tasks has more. `startTelemetry()` sees to it; the reader of an SDK that you set up needs",
  "`metricProducers: [metricProducer()]`, or its provider a View with a higher `aggregationCardinalityLimit` for the",
  "meter `taskora`.",
  "",
  "Recorded through a meter, histograms begin when the SDK is registered; counters tell of what was before, too. A reader",
  "that fetches has both from the start of the process.",
]

const bothPaths = [
  "Scraped or pushed, Prometheus knows a metric by one name, with the same labels and buckets (`le` as OpenMetrics writes",
  'it, `"1.0"`, in both text formats); what comes by OTLP has `otel_scope_*` labels besides. The tests hold this in one',
  "Prometheus (Debian's 2.42): it scrapes an app's `/metrics`, and as a second job what the same app sent by OTLP/HTTP in",
  "JSON, decoded and renamed by OpenTelemetry's documented rules as a test wrote them down, once from an SDK of the",
  "user's own and once from `startTelemetry()`. All names, labels and values agree. Prometheus 2.42 has no OTLP receiver,",
  "so that of newer versions was not run, nor was an OpenTelemetry Collector, nor OTLP in protobuf or over gRPC.",
]

function section(title: string, kind: Instrument["kind"]): string[] {
  return [`## ${title}`, "", table(head, instruments.filter((i) => i.kind === kind).map(row)), ""]
}

const head = ["Prometheus", "OpenTelemetry", "unit", "labels", "meaning"]

function row(i: Instrument): string[] {
  return [
    code(prometheusName(i)),
    code(i.name),
    i.unit === "" ? "" : code(i.unit),
    i.attributes.map((a) => code(prometheusLabel(a.name))).join(", "),
    i.cluster ? `*Cluster.* ${i.description}` : i.description,
  ]
}

function valueRows(): string[][] {
  return instruments.flatMap((i) =>
    i.attributes
      .filter((a) => a.values !== undefined)
      .map((a) => [
        code(prometheusName(i)),
        code(prometheusLabel(a.name)),
        (a.values ?? []).map(code).join(", "),
      ]),
  )
}

function bucketRows(): string[][] {
  return instruments
    .filter((i) => i.buckets !== undefined)
    .map((i) => [code(prometheusName(i)), code(i.unit), (i.buckets ?? []).join(" ")])
}

function code(text: string): string {
  return `\`${text}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")
}
