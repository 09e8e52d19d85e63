import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

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

/** The functions of the only profile in a folder that cost most. */
export function hotSpots(folder: string, most: number): Spot[] {
  const [file] = readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"))
  if (file === undefined) throw new Error(`node wrote no CPU profile into ${folder}`)
  const profile = JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile
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
