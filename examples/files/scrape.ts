interface Sample {
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}

/** What one scrape of a /metrics endpoint read. */
export class Metrics {
  private constructor(private readonly samples: readonly Sample[]) {}

  static async scrape(url: string): Promise<Metrics> {
    const response = await fetch(url)
    if (!response.ok) throw new Error(`${url} answered ${response.status}`)
    return Metrics.parse(await response.text())
  }

  /** Prometheus' text format: `name{label="value",...} number` on each line that is no comment. */
  static parse(text: string): Metrics {
    const samples: Sample[] = []
    for (const line of text.split("\n")) {
      const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
      if (!match) continue
      const labels = [...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
      const byName = new Map(labels.map(([, label, value]) => [label!, value!]))
      samples.push({ name: match[1]!, labels: byName, value: Number(match[3]) })
    }
    return new Metrics(samples)
  }

  get size(): number {
    return this.samples.length
  }

  /** The sum over all series of a name whose label, if one is given, has one of the values. */
  sum(name: string, label?: string, values: readonly string[] = []): number {
    return this.samples
      .filter((sample) => sample.name === name)
      .filter((sample) => label === undefined || values.includes(sample.labels.get(label) ?? ""))
      .reduce((sum, { value }) => sum + value, 0)
  }

  /** Values of a label of a name, where the series is not 0. */
  values(name: string, label: string): string[] {
    const found = this.samples.filter((sample) => sample.name === name && sample.value !== 0)
    return [...new Set(found.map(({ labels }) => labels.get(label) ?? ""))].sort()
  }
}
