import { stringify } from "yaml"
import { type Alert, runbookUrl } from "./alert.ts"
import { flowAlerts } from "./flow.ts"
import { jobAlerts } from "./jobs.ts"
import { queueAlerts } from "./queue.ts"
import { recordings } from "./recording.ts"
import { scenarios } from "./scenarios.ts"

export const alerts: readonly Alert[] = [...jobAlerts, ...queueAlerts, ...flowAlerts]

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

/** The scenarios, for `promtool test rules`. */
export function ruleTests(): string {
  const firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
  return text({
    rule_files: ["../taskora.rules.yml", "../taskora.alerts.yml"],
    evaluation_interval: "1m",
    group_eval_order: ["taskora", "taskora-alerts"],
    tests: scenarios.map((scenario) => ({
      name: scenario.name,
      interval: "1m",
      input_series: scenario.series,
      promql_expr_test: Object.entries(scenario.firing).map(([minute, names]) => ({
        expr: firing,
        eval_time: `${minute}m`,
        exp_samples: names.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
      })),
    })),
  })
}
