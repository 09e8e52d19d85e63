export { opentelemetry } from "./opentelemetry.ts"
export type { CaptureOptions, OpenTelemetryOptions, Redact } from "./options.ts"
