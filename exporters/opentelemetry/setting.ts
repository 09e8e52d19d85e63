import type { Resource } from "@opentelemetry/resources"
import type { ResolvedTelemetry } from "./start-options.ts"

/** The part of the SDK's providers that is used once they are made. */
export interface Life {
  forceFlush(): Promise<void>
  shutdown(): Promise<void>
}

/** What all signals are made from. */
export interface Setting {
  readonly resolved: ResolvedTelemetry
  readonly env: NodeJS.ProcessEnv
  readonly resource: Resource
}

/** Where an exporter sends to; what is not given comes from its own variables. */
export function target(url: string | undefined, { headers }: ResolvedTelemetry) {
  return { ...(url !== undefined && { url }), ...(headers && { headers }) }
}
