import { type Prometheus, type PrometheusOptions, prometheus } from "../../exporters/prometheus.ts"
import { type Family, parseExposition } from "./exposition.ts"
import { FakeSource } from "./fake-source.ts"

export const openmetrics = "application/openmetrics-text; version=1.0.0"

/** A Prometheus observer of a made-up app. Its endpoint is on a free port once opened. */
export function observed(
  options: PrometheusOptions = {},
  source = new FakeSource(),
): { metrics: Prometheus; source: FakeSource } {
  const metrics = prometheus({ port: 0, ...options })
  metrics.source(source)
  return { metrics, source }
}

/** What a scrape would read, parsed strictly. */
export async function scrape(
  metrics: Prometheus,
  format: "text" | "openmetrics" = "text",
): Promise<Map<string, Family>> {
  const { body } = await metrics.render(format === "openmetrics" ? openmetrics : undefined)
  return parseExposition(body, format)
}

/** All series of the task-labelled families that are not 0, as `name{labels} value`, in order. */
export function nonZero(families: ReadonlyMap<string, Family>): string[] {
  const lines: string[] = []
  for (const family of families.values()) {
    if (family.name.startsWith("nodejs_") || family.name.startsWith("v8js_")) continue
    for (const { name, labels, value } of family.samples) {
      if (value === 0 || name.endsWith("_bucket")) continue
      const text = Object.entries(labels).map(([label, v]) => `${label}=${v}`)
      lines.push(`${name}{${text.join()}} ${value}`)
    }
  }
  return lines
}
