import type { TextMapPropagator } from "@opentelemetry/api"
import { loadPackages } from "./packages.ts"
import type { Report } from "./reporting.ts"

/**
 * What `OTEL_PROPAGATORS` asks for; undefined: the SDK's default, null: none. The default is what the SDK sets up by
 * itself, so its package is loaded for other wishes only.
 */
export async function propagatorFrom(
  env: NodeJS.ProcessEnv,
  report: Report,
): Promise<TextMapPropagator | null | undefined> {
  const wanted = new Set(env.OTEL_PROPAGATORS?.split(",").map((name) => name.trim()) ?? [])
  wanted.delete("")
  if (wanted.size === 0) return undefined
  if (wanted.has("none")) return null
  const packages = { "@opentelemetry/core": () => import("@opentelemetry/core") }
  const { "@opentelemetry/core": core } = await loadPackages(packages, "OTEL_PROPAGATORS")
  const propagators: TextMapPropagator[] = []
  for (const name of wanted) {
    if (name === "tracecontext") propagators.push(new core.W3CTraceContextPropagator())
    else if (name === "baggage") propagators.push(new core.W3CBaggagePropagator())
    else report(`OTEL_PROPAGATORS: "${name}" is not known here; register an SDK of your own for it`)
  }
  return new core.CompositePropagator({ propagators })
}
