import type { Board, Variable } from "./board.ts"

/** What stands for a variable in queries, and what its box shows. */
export interface Choice {
  readonly value: string
  readonly text: string
}
export type Choices = ReadonlyMap<string, Choice>

/** `label_values(selector, label)`, answered with the values in order. */
export type LabelValues = (selector: string, label: string) => Promise<readonly string[]>

/** What Grafana chooses when a dashboard is opened: all where that is offered, else the first value. */
export async function choose({ templating }: Board, labelValues: LabelValues): Promise<Choices> {
  const chosen = new Map<string, Choice>()
  for (const variable of templating.list)
    chosen.set(variable.name, await first(variable, chosen, labelValues))
  return chosen
}

async function first(variable: Variable, chosen: Choices, labelValues: LabelValues): Promise<Choice> {
  if (variable.type === "datasource") return { value: "prometheus", text: "Prometheus" }
  if (variable.includeAll) return { value: variable.allValue ?? ".*", text: "All" }
  const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(variable.definition ?? "") ?? []
  if (selector === undefined || label === undefined)
    throw new Error(`${variable.name} is asked for in an unknown way: ${variable.definition}`)
  const [value] = await labelValues(substitute(selector, chosen), label)
  if (value === undefined) throw new Error(`there is no value for ${variable.name}`)
  return { value, text: value }
}

/** @throws where a variable has no value */
export function substitute(text: string, choices: Choices): string {
  return text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced?: string, bare?: string) => {
    const name = braced ?? bare ?? ""
    const choice = choices.get(name)
    if (choice === undefined) throw new Error(`$${name} has no value in: ${text}`)
    return choice.value
  })
}

/** Grafana's own variables of time. The interval is that which the data source says between two scrapes. */
export function times(rangeSeconds: number, intervalSeconds: number): Choices {
  const own = (seconds: number): Choice => ({ value: `${seconds}s`, text: "" })
  return new Map([
    ["__rate_interval", own(4 * intervalSeconds)],
    ["__range", own(Math.ceil(rangeSeconds))],
  ])
}
