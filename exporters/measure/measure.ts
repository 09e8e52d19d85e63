import type { Observer, Source } from "../../src/model/observer.ts"
import { invalid } from "../../src/model/options.ts"
import type { CounterReader } from "./counter.ts"
import { createFamilies, type Families } from "./families.ts"
import type { HistogramReader, RecordListener } from "./histogram.ts"
import { ProcessMeasures } from "./process.ts"
import { firstByName, Readings, readBuild, readProcess, readQueue } from "./readings.ts"
import { Recorder } from "./recorder.ts"
import { Runtime } from "./runtime.ts"
import { Tasks } from "./tasks.ts"

export interface MeasureSettings {
  /** Bounds of buckets by the OpenTelemetry name of the histogram, in its unit. */
  readonly buckets?: Readonly<Record<string, readonly number[]>>
  /** Tasks with a label of their own; further ones share `_OTHER`. Default 300. */
  readonly taskLimit?: number
}

/**
 * The numbers of one app. They live once, however many observers show them. Of a source that has no app, only what is
 * read from the store is shown: counters that nobody feeds would say 0 for what happened elsewhere.
 */
export class Measure {
  readonly source: Source
  readonly runtime: Pick<Runtime, "start" | "stop" | "read">
  readonly #listeners: RecordListener[] = []
  readonly #families: Families
  readonly #tasks: Tasks
  readonly #process: ProcessMeasures
  readonly #recorder: Recorder
  readonly #settings = new Map<string, string>()
  #feeder: Observer | undefined

  constructor(source: Source) {
    this.source = source
    this.runtime = source.clusterOnly ? noRuntime : new Runtime()
    this.#families = createFamilies({ now: () => source.clock.now(), listeners: this.#listeners })
    this.#tasks = new Tasks(this.#families)
    this.#process = new ProcessMeasures(this.#families)
    this.#recorder = new Recorder(this.#tasks, this.#process, source.clock)
    source.onTask((task) => this.#tasks.declare(task))
    // Its counters exist at 0 from here on.
    source.onSchedule((schedule) => this.#process.schedules.get(schedule))
  }

  get counters(): readonly CounterReader[] {
    return this.source.clusterOnly ? [] : this.#families.allCounters
  }

  get histograms(): readonly HistogramReader[] {
    return this.source.clusterOnly ? [] : this.#families.allHistograms
  }

  /**
   * Takes part in the numbers. The first observer gets the recorder and must pass on all it hears; the others get
   * nothing, or every transition would count once per observer.
   */
  join(observer: Observer): Recorder | undefined {
    if (this.source.clusterOnly) return undefined
    // Its errors begin at 0.
    this.#process.observerErrors.get(observer.name)
    this.#feeder ??= observer
    return this.#feeder === observer ? this.#recorder : undefined
  }

  /** Applies an observer's settings. Two observers of one app share their numbers, so they cannot differ in these. */
  configure(settings: MeasureSettings): void {
    for (const [name, bounds] of Object.entries(settings.buckets ?? {})) {
      this.#agree(`the buckets of ${name}`, bounds)
      const family = this.#families.allHistograms.find((h) => h.instrument.name === name)
      if (family?.rebucket(bounds) === false) {
        throw invalid(`The buckets of ${name} cannot change once something was recorded.`)
      }
    }
    if (settings.taskLimit !== undefined) {
      this.#agree("taskLimit", settings.taskLimit)
      this.#tasks.limit = settings.taskLimit
    }
  }

  /** Hears of every record of a histogram from now on, for a binding that keeps its own. */
  onRecord(listener: RecordListener): () => void {
    this.#listeners.push(listener)
    return () => {
      const at = this.#listeners.indexOf(listener)
      if (at >= 0) this.#listeners.splice(at, 1)
    }
  }

  /** Gauges that this process knows of itself, those of the runtime apart. */
  readProcess(): Readings {
    if (this.source.clusterOnly) return readBuild(this.source)
    return readProcess(this.source, this.#tasks, this.#process)
  }

  /** Cluster-wide numbers; undefined when the store does not answer in time. */
  async readQueue(timeoutMs: number): Promise<Readings | undefined> {
    const snapshot = await this.source.queue(timeoutMs)
    if (snapshot === undefined) return undefined
    const labelOf = this.source.clusterOnly
      ? firstByName(snapshot, this.#tasks.limit)
      : (task: string) => this.#tasks.foreignLabel(task)
    return readQueue(snapshot, labelOf)
  }

  #agree(setting: string, value: unknown): void {
    const wanted = JSON.stringify(value)
    const agreed = this.#settings.get(setting) ?? wanted
    if (agreed !== wanted) {
      throw invalid(
        `Two observers of one app differ in ${setting}: ${agreed} and ${wanted}. Give both the same.`,
      )
    }
    this.#settings.set(setting, wanted)
  }
}

const noRuntime: Measure["runtime"] = { start() {}, stop() {}, read: () => new Readings() }

const bySource = new WeakMap<Source, Measure>()

/** The numbers of the app that a source belongs to: the same for every observer of that app. */
export function measure(source: Source): Measure {
  let found = bySource.get(source)
  if (found === undefined) {
    found = new Measure(source)
    bySource.set(source, found)
  }
  return found
}
