import { boards } from "./boards.ts"
import { dashboard } from "./render/dashboard.ts"
import { alertRules, recordingRules, ruleTests } from "./rules/files.ts"
import { runbooks } from "./rules/runbooks.ts"

/** Every generated file, by its path from the repository's root. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ...boards.map((board): [string, string] => [
      `dashboards/grafana/${board.uid}.json`,
      `${JSON.stringify(dashboard(board), null, 2)}\n`,
    ]),
    ["dashboards/prometheus/taskora.rules.yml", recordingRules()],
    ["dashboards/prometheus/taskora.alerts.yml", alertRules()],
    ["dashboards/prometheus/tests/taskora.tests.yml", ruleTests()],
    ["docs/alerts.md", runbooks()],
  ])
}
