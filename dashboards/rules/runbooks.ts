import type { Alert } from "./alert.ts"
import { alerts } from "./files.ts"

/** docs/alerts.md. */
export function runbooks(): string {
  return `${[
    "# Alerts",
    "",
    "<!-- Generated from dashboards/rules. Do not edit. -->",
    "",
    "What to do when an alert of `dashboards/prometheus/taskora.alerts.yml` fires. `critical` should wake somebody,",
    "`warning` be seen in working hours, `info` help to explain the others. The alerts read series that",
    "`taskora.rules.yml` records: load both files, into Prometheus 2.42 or newer. Facts about the queue are told by every",
    "process with an exporter, so there is one alert for each job that Prometheus scrapes; group by alert and task in",
    "Alertmanager. Thresholds are a start: set them to what your users bear.",
    "",
    "| alert | severity | for |",
    "| --- | --- | --- |",
    ...alerts.map(
      ({ name, severity, for: pending }) =>
        `| [${name}](#${name.toLowerCase()}) | ${severity} | ${pending === "0m" ? "at once" : pending} |`,
    ),
    ...alerts.flatMap(section),
  ].join("\n")}\n`
}

function section({ name, expr, runbook }: Alert): string[] {
  return [
    "",
    `## ${name}`,
    "",
    runbook.meaning,
    "",
    "Look first at:",
    "",
    ...runbook.look.map((what, i) => `${i + 1}. ${what}`),
    "",
    `Panels: ${runbook.panels.map(({ board, title }) => `*${title}* on ${board.replace("Taskora / ", "")}`).join("; ")}.`,
    "",
    "```sh",
    runbook.command,
    "```",
    "",
    `When it fires: ${runbook.thresholds}`,
    "",
    "```promql",
    expr,
    "```",
  ]
}
