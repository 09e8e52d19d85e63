import {
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance,
} from "node:perf_hooks"
import { getHeapSpaceStatistics } from "node:v8"
import { runtimeGauges } from "../catalogue.ts"
import { Readings } from "./readings.ts"

const windowMs = 10_000
const resolutionMs = 20

/** The event loop and the heap. Percentiles are those of the last full window, so that no reader shortens another's. */
export class Runtime {
  #users = 0
  #delay: IntervalHistogram | undefined
  #timer: NodeJS.Timeout | undefined
  #utilization: EventLoopUtilization = performance.eventLoopUtilization()
  #last: { p50: number; p99: number; busy: number } | undefined

  start(): void {
    this.#users += 1
    if (this.#users > 1) return
    this.#delay = monitorEventLoopDelay({ resolution: resolutionMs })
    this.#delay.enable()
    this.#utilization = performance.eventLoopUtilization()
    this.#timer = setInterval(() => this.#turn(), windowMs)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#users === 0) return
    this.#users -= 1
    if (this.#users > 0) return
    clearInterval(this.#timer)
    this.#delay?.disable()
    this.#delay = undefined
    this.#last = undefined
  }

  read(): Readings {
    const readings = new Readings()
    const window = this.#last ?? this.#measure()
    if (window !== undefined) {
      readings.add(runtimeGauges.loopDelayP50, [], window.p50)
      readings.add(runtimeGauges.loopDelayP99, [], window.p99)
      readings.add(runtimeGauges.loopUtilization, [], window.busy)
    }
    for (const space of getHeapSpaceStatistics()) {
      readings.add(runtimeGauges.heapUsed, [space.space_name], space.space_used_size)
      readings.add(runtimeGauges.heapLimit, [space.space_name], space.space_size)
    }
    return readings
  }

  #turn(): void {
    this.#last = this.#measure()
    this.#delay?.reset()
    this.#utilization = performance.eventLoopUtilization()
  }

  #measure() {
    const delay = this.#delay
    if (delay === undefined || delay.count === 0) return undefined
    // The monitor's own timer takes the resolution; only what goes beyond it is delay.
    const seconds = (p: number) => Math.max(0, delay.percentile(p) / 1e9 - resolutionMs / 1000)
    return {
      p50: seconds(50),
      p99: seconds(99),
      busy: performance.eventLoopUtilization(this.#utilization).utilization,
    }
  }
}
