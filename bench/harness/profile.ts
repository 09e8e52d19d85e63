import { readFileSync, writeFileSync } from "node:fs"
import { Session } from "node:inspector/promises"

const sampleEveryUs = 200

/** Does the work, and writes its CPU profile to a file that browsers' tools can open. */
export async function profiled<T>(file: string, work: () => Promise<T>): Promise<T> {
  const session = new Session()
  session.connect()
  await session.post("Profiler.enable")
  await session.post("Profiler.setSamplingInterval", { interval: sampleEveryUs })
  await session.post("Profiler.start")
  const result = await work()
  const { profile } = await session.post("Profiler.stop")
  session.disconnect()
  writeFileSync(file, JSON.stringify(profile))
  return result
}

/** Self time of a function in a CPU profile. */
export interface Spot {
  /** Function, file and line. */
  readonly where: string
  /** Share of the time that was not idle. */
  readonly share: number
}

interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** The functions of a profile that cost most. */
export function hotSpots(file: string, most: number): Spot[] {
  const profile = JSON.parse(readFileSync(file, "utf8")) as Profile
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const times = new Map<string, number>()
  let sum = 0
  profile.samples.forEach((id, k) => {
    const where = names.get(id)!
    const us = profile.timeDeltas[k]!
    if (where === "(idle)") return
    sum += us
    times.set(where, (times.get(where) ?? 0) + us)
  })
  return [...times]
    .map(([where, us]) => ({ where, share: us / sum }))
    .sort((a, b) => b.share - a.share)
    .slice(0, most)
}

function nameOf({ functionName, url, lineNumber }: Profile["nodes"][number]["callFrame"]): string {
  const name = functionName || "(anonymous)"
  if (url === "") return name
  return `${name} ${url.replace(/^.*\/(?:bench\/dist|node_modules)\//, "")}:${lineNumber + 1}`
}
