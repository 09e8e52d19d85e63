import type { Source } from "../../src/model/observer.ts"
import { gauges } from "../catalogue.ts"
import type { Measure } from "../measure/measure.ts"
import { Readings } from "../measure/readings.ts"
import type { Exposed, ForeignFamily } from "./exposition.ts"

/** The store is asked for so long at most, also by a scraper with more patience. */
const longestWaitMs = 1000

/** Half of what the scraper waits for us, so that a store that hangs does not cost the process's own series. */
export function storeWaitMs(scrapeTimeoutSeconds: string | undefined): number {
  const seconds = Number(scrapeTimeoutSeconds ?? Number.NaN)
  return seconds > 0 ? Math.min(longestWaitMs, (seconds * 1000) / 2) : longestWaitMs
}

/** Collects what one scrape shows. Where the store does not answer, its numbers are absent, never stale. */
export async function collect(
  measure: Measure,
  options: { readonly queueGauges: boolean; readonly waitMs: number },
  foreign: readonly ForeignFamily[],
): Promise<Exposed> {
  // A read that fails is one that was not answered: `store.up` says so.
  const queue = options.queueGauges
    ? await measure.readQueue(options.waitMs).catch(() => undefined)
    : undefined
  const up = options.queueGauges ? queue !== undefined : measure.source.connected()
  const store = new Readings()
  store.add(gauges.storeUp, [], up ? 1 : 0)
  return {
    counters: measure.counters,
    histograms: measure.histograms,
    readings: [store, measure.readProcess(), ...(queue === undefined ? [] : [queue]), measure.runtime.read()],
    foreign,
  }
}

/** Why an app cannot work now, for people; undefined where it can. */
export function unready(source: Source | undefined): string | undefined {
  if (source === undefined) return "not part of an app yet"
  if (!source.connected()) return "not connected to the store"
  return source.ready() ? undefined : "workers are not running"
}
