export { opentelemetry } from "./opentelemetry.ts"
export type { CaptureOptions, OpenTelemetryOptions, Redact } from "./options.ts"
export { startTelemetry, type Telemetry } from "./start.ts"
export type { TelemetryOptions } from "./start-options.ts"
