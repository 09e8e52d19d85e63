import { stringify } from "yaml"
import { type Alert, runbookUrl } from "./alert.ts"
import { jobAlerts } from "./jobs.ts"
import { queueAlerts } from "./queue.ts"
import { recordings } from "./recording.ts"

export const alerts: readonly Alert[] = [...jobAlerts, ...queueAlerts]

const generated = " Generated from dashboards/rules. Do not edit.\n"

export function recordingRules(): string {
  return text({ groups: [{ name: "taskora", rules: recordings }] })
}

export function alertRules(): string {
  const rules = alerts.map(({ name, expr, for: pending, severity, summary, description }) => ({
    alert: name,
    expr,
    for: pending,
    labels: { severity },
    annotations: { summary, description, runbook_url: runbookUrl(name) },
  }))
  return text({ groups: [{ name: "taskora-alerts", rules }] })
}

export function text(document: unknown): string {
  return `#${generated}${stringify(document, { lineWidth: 0 })}`
}
