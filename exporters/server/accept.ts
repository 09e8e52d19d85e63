/** One entry of an `Accept` or `Accept-Encoding` header. */
interface Preference {
  readonly type: string
  readonly params: ReadonlyMap<string, string>
  readonly q: number
}

/** Entries beyond this are noise or an attack. */
const entryLimit = 50

function preferences(header: string): Preference[] {
  return header
    .split(",", entryLimit)
    .map((entry) => {
      const [type = "", ...rest] = entry.split(";").map((part) => part.trim().toLowerCase())
      const params = new Map(
        rest.map((part): [string, string] => {
          const [name = "", value = ""] = part.split("=")
          return [name.trim(), value.trim().replace(/^"|"$/g, "")]
        }),
      )
      const q = params.has("q") ? Number(params.get("q")) : 1
      return { type, params, q: q >= 0 && q <= 1 ? q : 0 }
    })
    .filter(({ type }) => type !== "")
}

/** What a client likes better; the classic text is what everybody gets who does not ask for OpenMetrics by name. */
export function negotiateFormat(accept: string | undefined): "text" | "openmetrics" {
  const wanted = preferences(accept ?? "")
  const best = (match: (p: Preference) => boolean) =>
    wanted.filter(match).reduce((q, p) => Math.max(q, p.q), 0)
  const openmetrics = best(isOpenMetrics)
  if (openmetrics === 0) return "text"
  const text = best(
    ({ type, params }) => type === "text/plain" && (params.get("version") ?? "0.0.4") === "0.0.4",
  )
  const anything = best(({ type }) => type === "*/*" || type === "text/*")
  if (openmetrics !== text) return openmetrics > text && openmetrics >= anything ? "openmetrics" : "text"
  // Equally liked: the one named first.
  const first = wanted.find((p) => p.q === openmetrics && (isOpenMetrics(p) || p.type === "text/plain"))
  return first !== undefined && isOpenMetrics(first) ? "openmetrics" : "text"
}

function isOpenMetrics({ type, params }: Preference): boolean {
  const version = params.get("version") ?? "1.0.0"
  return type === "application/openmetrics-text" && (version === "1.0.0" || version === "0.0.1")
}

/** True where the client asks for gzip and does not refuse it. */
export function acceptsGzip(header: string | undefined): boolean {
  const wanted = preferences(header ?? "")
  const named = wanted.find(({ type }) => type === "gzip" || type === "x-gzip")
  const preference = named ?? wanted.find(({ type }) => type === "*")
  return preference !== undefined && preference.q > 0
}
