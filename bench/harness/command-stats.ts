import { scripts } from "../../src/store/scripts.ts"
import type { Meter } from "./meter.ts"
import { quantile } from "./statistics.ts"

/** Calls and time of one command, or one script, since it was last asked to begin anew. */
export interface Cost {
  readonly name: string
  readonly calls: number
  readonly us: number
  readonly p50?: number
  readonly p99?: number
}

/** By command, the dearest first. `evalsha` holds what its inner calls took. */
export async function commandCosts({ client }: Meter): Promise<Cost[]> {
  const text = await client.info("commandstats")
  const costs = [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)].map(
    ([, name, calls, us]) => ({
      name: name!,
      calls: Number(calls),
      us: Number(us),
    }),
  )
  return costs.filter(({ name }) => !/^(info|config|slowlog|flushall)/.test(name)).sort((a, b) => b.us - a.us)
}

/** By script, from the slow log that `watchScripts` opened. */
export async function scriptCosts(meter: Meter): Promise<Cost[]> {
  const names = new Map(Object.values(scripts).map(({ name, source }) => [source.sha, name]))
  const times = new Map<string, number[]>()
  for (const { sha, us } of await meter.scriptCalls()) {
    const name = names.get(sha) ?? sha
    times.set(name, [...(times.get(name) ?? []), us])
  }
  return [...times]
    .map(([name, all]) => ({
      name,
      calls: all.length,
      us: all.reduce((a, b) => a + b),
      p50: quantile(all, 0.5),
      p99: quantile(all, 0.99),
    }))
    .sort((a, b) => b.us - a.us)
}
