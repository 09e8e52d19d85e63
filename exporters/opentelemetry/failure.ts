import { type Span, SpanStatusCode, type TimeInput } from "@opentelemetry/api"
import { errorType, type SpanAttributes } from "./conventions.ts"

/** How much of an error goes into a span: all of it, or the class name alone. */
export type ErrorCapture = "message" | "type"

/** As in the error log: longer texts help nobody and cost every backend. */
const longestText = 16 * 1024

/** Messages of these quote the user's data. */
const quoting = "ValidationError"

/**
 * Marks a span as failed and records what was thrown. The text goes into the exception alone, never into the status,
 * where `capture.errors` could not be relied on by those who filter exceptions.
 */
export function recordFailure(
  span: Span,
  type: string,
  error: unknown,
  capture: ErrorCapture,
  at?: TimeInput,
) {
  // What is called a class may be any text: `error.name` is the user's to set.
  const exception: SpanAttributes = { "exception.type": capture === "message" ? cut(type) : errorType(type) }
  if (capture === "message" && type !== quoting) {
    if (error instanceof Error) {
      exception["exception.message"] = cut(error.message)
      if (error.stack !== undefined) exception["exception.stacktrace"] = cut(error.stack)
    } else if (typeof error === "string") exception["exception.message"] = cut(error)
  }
  span.addEvent("exception", exception, at)
  markFailed(span, type)
}

export function markFailed(span: Span, type: string) {
  span.setAttribute("error.type", errorType(type))
  span.setStatus({ code: SpanStatusCode.ERROR })
}

function cut(text: string): string {
  return text.length > longestText ? text.slice(0, longestText) : text
}
