import type { JobHeaders, TraceRelation } from "../model/observer.ts"

/** The name under which a dispatch's own trace relation travels among the stored headers. */
const relationName = "~relation"
/** Headers beyond this are dropped rather than carried with each job. */
const mostChars = 8192
const none: JobHeaders = Object.freeze({})

/** What observers want stored with a job, as one line of JSON; "" for nothing. */
export function encodeHeaders(headers: JobHeaders | undefined, relation: TraceRelation | undefined): string {
  if (headers === undefined && relation === undefined) return ""
  const text = JSON.stringify(relation === undefined ? headers : { ...headers, [relationName]: relation })
  return text.length > mostChars ? "" : text
}

/** Damaged headers are as good as none. */
export function decodeHeaders(text: string): { headers: JobHeaders; relation?: TraceRelation } {
  if (text === "") return { headers: none }
  try {
    const { [relationName]: relation, ...headers } = JSON.parse(text) as Record<string, string>
    return relation === undefined ? { headers } : { headers, relation: relation as TraceRelation }
  } catch {
    return { headers: none }
  }
}
