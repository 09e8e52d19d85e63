export type Labels = Readonly<Record<string, string>>

export interface Series {
  readonly labels: Labels
  /** Seconds and values, of which those that are no numbers are null. */
  readonly points: readonly (readonly [time: number, value: number | null])[]
}

export interface Exemplar {
  readonly time: number
  readonly value: number
}

/** The span of a picture, in seconds. */
export interface Range {
  readonly from: number
  readonly to: number
  readonly step: number
}

interface Sample {
  readonly metric: Labels
  readonly values?: readonly (readonly [number, string])[]
  readonly value?: readonly [number, string]
}

/** Prometheus' HTTP API, as far as panels need it. */
export class Prometheus {
  constructor(private readonly url: string) {}

  async range(query: string, { from, to, step }: Range): Promise<Series[]> {
    const { result } = await this.ask<{ result: Sample[] }>("query_range", {
      query,
      start: from,
      end: to,
      step,
    })
    return result.map(toSeries)
  }

  async instant(query: string, time: number): Promise<Series[]> {
    const { result } = await this.ask<{ result: Sample[] }>("query", { query, time })
    return result.map(toSeries)
  }

  async exemplars(query: string, { from, to }: Range): Promise<Exemplar[]> {
    interface Found {
      readonly exemplars: readonly { readonly timestamp: number; readonly value: string }[]
    }
    const found = await this.ask<Found[]>("query_exemplars", { query, start: from, end: to })
    return found.flatMap(({ exemplars }) =>
      exemplars.map(({ timestamp, value }) => ({ time: timestamp, value: Number(value) })),
    )
  }

  async labelValues(selector: string, label: string): Promise<string[]> {
    const values = await this.ask<string[]>(`label/${label}/values`, { "match[]": selector })
    return values.toSorted()
  }

  private async ask<T>(path: string, parameters: Readonly<Record<string, string | number>>): Promise<T> {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(parameters)) query.set(name, `${value}`)
    const response = await fetch(`${this.url}/api/v1/${path}?${query}`)
    const { data, error } = (await response.json()) as { data: T; error?: string }
    if (error !== undefined) throw new Error(`${error}: ${parameters.query}`)
    return data
  }
}

function toSeries({ metric, values, value }: Sample): Series {
  const samples = values ?? (value === undefined ? [] : [value])
  return { labels: metric, points: samples.map(([time, text]) => [time, toNumber(text)]) }
}

function toNumber(text: string): number | null {
  if (text === "NaN") return null
  return text.endsWith("Inf") ? Number(`${text.replace("Inf", "Infinity")}`) : Number(text)
}
