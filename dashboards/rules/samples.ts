/** Series for the scenarios: one process' view of one task, `mail`, a sample a minute. */

import {
  counters,
  gauges,
  type Instrument,
  prometheusLabel,
  prometheusName,
} from "../../exporters/catalogue.ts"

export interface Samples {
  readonly series: string
  readonly values: string
}

export interface Scenario {
  readonly name: string
  readonly series: readonly Samples[]
  /** The alerts that fire, and no others, by the minute. */
  readonly firing: Readonly<Record<number, readonly string[]>>
}

type Part = readonly [minutes: number, value: number]

export function series(of: Instrument, labels: Readonly<Record<string, string>>, values: string): Samples {
  const tasked = of.attributes.some(({ name }) => name === "task")
  const all = { job: "shop", instance: "a", ...(tasked ? { task: "mail" } : {}), ...labels }
  const unknown = Object.keys(labels).filter(
    (label) => label !== "instance" && !of.attributes.some(({ name }) => prometheusLabel(name) === label),
  )
  if (unknown.length > 0) throw new Error(`${of.name} has no ${unknown.join()}.`)
  const text = Object.entries(all).map(([label, value]) => `${label}="${value}"`)
  return { series: `${prometheusName(of)}{${text.join(",")}}`, values }
}

/** A gauge that keeps each value for so many minutes. */
export function level(...parts: readonly Part[]): string {
  return parts.map(([minutes, value]) => `${value}+0x${minutes - 1}`).join(" ")
}

/** A counter that rises by so much a minute, for so many minutes; `from` lets it begin anew. */
export function ramp(parts: readonly Part[], from = 0): string {
  let at = from
  return parts
    .map(([minutes, perMinute]) => {
      const text = `${at}${perMinute < 0 ? "" : "+"}${perMinute}x${minutes - 1}`
      at += minutes * perMinute
      return text
    })
    .join(" ")
}

export function transitions(parts: Readonly<Record<string, readonly Part[]>>): Samples[] {
  // Two processes say the same of the cluster, which must not count twice.
  return Object.entries(parts).flatMap(([transition, values]) =>
    ["a", "b"].map((instance) => series(counters.clusterTransitions, { transition, instance }, ramp(values))),
  )
}

export function objective(perMinute: number, ...breaches: readonly Part[]): Samples[] {
  const minutes = breaches.reduce((sum, [length]) => sum + length, 0)
  const success = { objective: "success" }
  return [
    series(gauges.objectiveTarget, success, level([minutes, 0.999])),
    series(counters.objectiveEvents, success, ramp([[minutes, perMinute]])),
    series(counters.objectiveBreaches, success, ramp(breaches)),
  ]
}
