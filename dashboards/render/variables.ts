import {
  DatasourceVariableBuilder,
  type QueryVariableBuilder,
  QueryVariableBuilder as Variable,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard"
import { task } from "../../exporters/catalogue/attributes.ts"
import { counters, gauges, type Instrument, prometheusName } from "../../exporters/catalogue.ts"
import type { Board } from "../panel.ts"
import { instance, job, labelName, prefix, type Scope } from "../promql.ts"

/** The data source is a variable: whoever imports the dashboard chooses. */
export const datasource = { type: "prometheus", uid: `\${datasource}` }

/** `=~`, because a choice of several is a pattern. The one task of the Task dashboard is no pattern: names have dots. */
const ofJob = `${labelName(job)}=~"$job"`
const ofInstance = `${labelName(instance)}=~"$instance"`
const ofPrefix = `${labelName(prefix)}=~"$prefix"`

export function panelScope(tasks: Board["tasks"]): Scope {
  return {
    all: [ofJob, ofInstance],
    apps: [ofPrefix],
    tasks: [`${labelName(task)}${tasks === "one" ? "=" : "=~"}"$task"`],
    window: "$__rate_interval",
    cluster: [prefix],
  }
}

/** What every process shows, and what an exporter for a whole cluster does. */
const alive = [gauges.buildInfo, gauges.storeUp]
const tasked = [gauges.queueJobs, counters.jobsDispatched]

export function variables(tasks: Board["tasks"]) {
  return [
    new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"),
    choice("job", "Job", labelValues(alive, [], labelName(job)), ".+").description(
      "The scrape's job, or the service's name over OTLP. Clusters that share a prefix are told apart by it.",
    ),
    choice("instance", "Instance", labelValues(alive, [ofJob], labelName(instance)), ".+").description(
      "One process. Facts about the whole cluster are alike in every process.",
    ),
    choice("prefix", "Prefix", labelValues(alive, [ofJob], labelName(prefix)), ".*").description(
      "The prefix of the app's keys. Apps without one are part of All.",
    ),
    tasks === "many"
      ? choice("task", "Task", labelValues(tasked, [ofJob, ofPrefix], labelName(task)), ".*")
      : one("task", "Task", labelValues(tasked, [ofJob, ofPrefix], labelName(task))),
  ]
}

function labelValues(of: readonly Instrument[], matchers: readonly string[], label: string): string {
  const names = `__name__=~"${of.map(prometheusName).join("|")}"`
  return `label_values({${[names, ...matchers].join(", ")}}, ${label})`
}

function one(name: string, label: string, query: string): QueryVariableBuilder {
  return new Variable(name)
    .label(label)
    .datasource(datasource)
    .definition(query)
    .query({ query, refId: name })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
}

function choice(name: string, label: string, query: string, all: string): QueryVariableBuilder {
  return one(name, label, query)
    .multi(true)
    .includeAll(true)
    .allValue(all)
    .current({ selected: true, text: "All", value: "$__all" })
}
