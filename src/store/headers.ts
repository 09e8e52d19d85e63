import type { JobHeaders, TraceRelation } from "../model/observer.ts"

/** The name under which a dispatch's own trace relation travels among the stored headers. */
const relationName = "~relation"
/** The name under which the runs travel that a node of a workflow builds upon. */
const linksName = "~links"
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
export function decodeHeaders(text: string): {
  headers: JobHeaders
  relation?: TraceRelation
  links?: readonly string[]
} {
  if (text === "") return { headers: none }
  try {
    const {
      [relationName]: relation,
      [linksName]: links,
      ...headers
    } = JSON.parse(text) as Record<string, string>
    return {
      headers,
      ...(relation === undefined ? {} : { relation: relation as TraceRelation }),
      ...(links === undefined ? {} : { links: links.split(",") }),
    }
  } catch {
    return { headers: none }
  }
}

/** Adds runs to which the job's own runs shall be linked (traceparents), as far as there is room. */
export function withLinks(text: string, runs: readonly string[]): string {
  if (runs.length === 0) return text
  const { headers } = decodeHeaders(text)
  const linked = JSON.stringify({ ...headers, [linksName]: runs.join(",") })
  return linked.length > mostChars ? text : linked
}
