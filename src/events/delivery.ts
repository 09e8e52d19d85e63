import type { EventMeta, Progress, TaskEventName, TaskEvents } from "../model/events.ts"
import type { Codec } from "../rules/serializer.ts"
import type { StreamEvent } from "../store/stream.ts"

/** An event as listeners get it: exactly the payload that the page promises, and its meta. */
export interface Delivery<K extends TaskEventName = TaskEventName> {
  readonly name: K
  readonly payload: TaskEvents[K]
  readonly meta: EventMeta
}

/** Decodes a stream's event. `result`: the stored text of a result that did not travel; undefined when it is gone. */
export function delivery(
  task: string,
  event: StreamEvent,
  codec: Codec,
  result: string | undefined,
): Delivery {
  const { id, fields } = event
  const truncated = event.name === "completed" && fields.result === undefined && result === undefined
  const meta: EventMeta = {
    timestamp: event.timestamp,
    seq: event.seq,
    instance: event.instance,
    ...(truncated ? { resultTruncated: true } : {}),
  }
  if (fields.workflow !== undefined) return { name: event.name, payload: workflowPayload(event, codec), meta }
  const attempt = fields.attempt ?? 0
  const error = fields.error === undefined ? "" : (JSON.parse(fields.error) as string)
  switch (event.name) {
    case "active":
      return { name: event.name, payload: { id, attempt }, meta }
    case "progress":
      return { name: event.name, payload: { id, progress: JSON.parse(fields.progress!) as Progress }, meta }
    case "completed": {
      const text = fields.result ?? result ?? ""
      const value = codec.decode(text, `result of job ${id} of task "${task}"`)
      return { name: event.name, payload: { id, result: value, duration: fields.duration!, attempt }, meta }
    }
    case "failed":
      return { name: event.name, payload: { id, error, attempt, willRetry: fields.willRetry! }, meta }
    case "retrying":
      return { name: event.name, payload: { id, attempt, nextAttempt: fields.nextAttempt!, error }, meta }
    case "stalled":
      return { name: event.name, payload: { id, count: fields.count!, action: fields.action! }, meta }
    case "expired":
      return { name: event.name, payload: { id, attempt }, meta }
    case "cancelled": {
      const reason = fields.reason ? { reason: JSON.parse(fields.reason) as string } : {}
      return { name: event.name, payload: { id, ...reason }, meta }
    }
  }
}

/** What listeners get of a workflow's end, of which the store has written an event as of a job. */
function workflowPayload({ name, id, fields }: StreamEvent, codec: Codec): TaskEvents[TaskEventName] {
  const about = { id, name: fields.workflow!, duration: fields.duration! }
  const text = (json: string) => JSON.parse(json) as string
  const payload =
    name === "completed"
      ? { ...about, result: codec.decode(fields.result ?? "", `result of workflow ${id}`) }
      : name === "failed"
        ? { ...about, error: text(fields.error!) }
        : { ...about, ...(fields.reason ? { reason: text(fields.reason) } : {}) }
  return payload as unknown as TaskEvents[TaskEventName]
}
