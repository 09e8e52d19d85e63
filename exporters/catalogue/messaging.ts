import { counter, histogram, open } from "./instrument.ts"

/**
 * The instruments of OpenTelemetry's messaging conventions, for dashboards that know nothing of Taskora. Only the
 * OpenTelemetry binding has them: on `/metrics` they would say again what our own say better.
 */
const common = [
  open("messaging.system.name"),
  open("messaging.operation.name"),
  open("messaging.destination.name"),
  open("error.type"),
] as const

const seconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] as const

export const messagingInstruments = {
  sent: counter(
    "messaging.client.sent.messages",
    "{message}",
    common,
    "Jobs that this process tried to store.",
  ),
  consumed: counter(
    "messaging.client.consumed.messages",
    "{message}",
    common,
    "Attempts that this process's workers began.",
  ),
  operation: histogram(
    "messaging.client.operation.duration",
    "s",
    common,
    seconds,
    "Calls to the store that send or settle jobs.",
  ),
  process: histogram(
    "messaging.process.duration",
    "s",
    common,
    seconds,
    "Handler and middleware of one attempt.",
  ),
}
