import { createRequire } from "node:module"
import type { Registry } from "prom-client"
import { TaskoraError } from "../../src/model/errors.ts"
import type { ForeignFamily } from "./exposition.ts"

export type PromClient = typeof import("prom-client")

/** prom-client is optional, and loaded where somebody asks for what only it has. */
export function loadPromClient(wantedBy: string): PromClient {
  try {
    return createRequire(import.meta.url)("prom-client") as PromClient
  } catch (cause) {
    throw new TaskoraError(
      `prometheus(): ${wantedBy} needs the package prom-client: npm install prom-client`,
      "INVALID",
      { cause },
    )
  }
}

/** prom-client's default metrics, in a registry that stays in one format: switching one loses names for ever. */
export function startDefaultMetrics(): Registry {
  const { Registry, collectDefaultMetrics } = loadPromClient('option "defaultMetrics"')
  const register = new Registry()
  collectDefaultMetrics({ register })
  return register
}

interface JsonMetric {
  readonly name: string
  readonly help: string
  readonly type: unknown
  readonly values: readonly {
    readonly value: number
    readonly labels: Readonly<Record<string, string | number>>
    readonly metricName?: string
  }[]
}

/** What a prom-client registry holds, for our own renderer. */
export async function foreignFamilies(registry: Registry): Promise<readonly ForeignFamily[]> {
  const metrics = (await registry.getMetricsAsJSON()) as unknown as readonly JsonMetric[]
  return metrics
    .filter(({ values }) => values.length > 0)
    .map(({ name, help, type, values }) => ({
      name,
      help,
      type: String(type),
      samples: values.map(({ value, labels, metricName }) => ({
        name: metricName ?? name,
        labels: Object.entries(labels).map(([label, v]): [string, string] => [label, String(v)]),
        value,
      })),
    }))
}
