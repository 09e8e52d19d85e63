import type { Evidence, PodEvidence, TaskEvidence } from "./evidence.ts"
import type { FinalJob } from "./final-state.ts"
import type { Of } from "./observations.ts"
import type { Line } from "./stream-lines.ts"

/** One run as the process that made it wrote it down. */
export interface Run {
  readonly pod: PodEvidence
  readonly began: Of<"run">
  readonly ended: Of<"ended"> | undefined
  readonly aborted: Of<"aborted"> | undefined
  readonly beats: readonly Of<"beat">[]
}

/** One claim of a job as the stream tells it, up to what ended it. */
export interface Grant {
  readonly line: Line
  readonly told: Line[]
  /** c, f, s or x; undefined where it was handed back, or goes on. */
  end: Line | undefined
  run: Run | undefined
}

/** All that is known of one job. */
export interface Story {
  readonly task: string
  readonly id: string
  readonly lines: Line[]
  readonly grants: Grant[]
  readonly job: FinalJob | undefined
  readonly asked: { readonly by: PodEvidence; readonly at: number } | undefined
  readonly acknowledged: number | undefined
  readonly refused: Of<"refused"> | undefined
}

export interface Told {
  readonly evidence: Evidence
  readonly stories: readonly Story[]
  readonly byId: ReadonlyMap<string, Story>
  /** Runs that no claim in a stream explains. */
  readonly strayRuns: readonly Run[]
  instanceOf(pod: PodEvidence): string | undefined
}

/** Server and process read one clock, but a script's time and its entry's id may be a moment apart. */
const sameClaimMs = 1000

export function tell(evidence: Evidence): Told {
  const instances = new Map(
    evidence.pods.map((pod) => [pod, pod.observations.find(({ what }) => what === "began") as Of<"began">]),
  )
  const byId = new Map<string, Story>()
  const asked = askedOf(evidence)
  for (const task of evidence.tasks) {
    const ids = new Set([...task.lines.map(({ id }) => id), ...task.state.jobs.keys()])
    for (const key of asked.keys())
      if (key.startsWith(`${task.task} `)) ids.add(key.slice(task.task.length + 1))
    const lines = groupById(task)
    for (const id of ids) byId.set(`${task.task} ${id}`, storyOf(task, id, lines.get(id) ?? [], asked))
  }
  const strayRuns = match([...runsOf(evidence)], byId, (pod) => instances.get(pod)?.instance)
  return {
    evidence,
    stories: [...byId.values()],
    byId,
    strayRuns,
    instanceOf: (pod) => instances.get(pod)?.instance,
  }
}

interface Asked {
  by: PodEvidence
  at: number
  acknowledged?: number
  refused?: Of<"refused">
}

function askedOf({ pods }: Evidence): Map<string, Asked> {
  const asked = new Map<string, Asked>()
  for (const pod of pods)
    for (const line of pod.observations) {
      if (line.what === "asked") asked.set(`${line.task} ${line.id}`, { by: pod, at: line.at })
      else if (line.what === "acknowledged") {
        const ask = asked.get(`${line.task} ${line.id}`)
        if (ask) ask.acknowledged = line.at
      } else if (line.what === "refused") {
        const ask = asked.get(`${line.task} ${line.id}`)
        if (ask) ask.refused = line
      }
    }
  return asked
}

function groupById({ lines }: TaskEvidence): Map<string, Line[]> {
  const groups = new Map<string, Line[]>()
  for (const line of lines) {
    const group = groups.get(line.id)
    if (group) group.push(line)
    else groups.set(line.id, [line])
  }
  return groups
}

function storyOf(
  { task, state }: TaskEvidence,
  id: string,
  lines: Line[],
  asked: ReadonlyMap<string, Asked>,
): Story {
  const grants: Grant[] = []
  for (const line of lines) {
    const last = grants.at(-1)
    if (line.kind === "a") grants.push({ line, told: [], end: undefined, run: undefined })
    else if (line.kind === "p") last?.told.push(line)
    else if (last && !last.end) last.end = line
  }
  const ask = asked.get(`${task} ${id}`)
  return {
    task,
    id,
    lines,
    grants,
    job: state.jobs.get(id),
    asked: ask && { by: ask.by, at: ask.at },
    acknowledged: ask?.acknowledged,
    refused: ask?.refused,
  }
}

function* runsOf({ pods }: Evidence): Generator<Run> {
  for (const pod of pods) {
    const ended = new Map<string, Of<"ended">>()
    const aborted = new Map<string, Of<"aborted">>()
    const beats = new Map<string, Of<"beat">[]>()
    for (const line of pod.observations) {
      if (line.what === "ended") ended.set(line.run, line)
      else if (line.what === "aborted") aborted.set(line.run, line)
      else if (line.what === "beat") beats.set(line.run, [...(beats.get(line.run) ?? []), line])
    }
    for (const began of pod.observations) {
      if (began.what !== "run") continue
      const { run } = began
      yield {
        pod,
        began,
        ended: ended.get(run),
        aborted: aborted.get(run),
        beats: beats.get(run) ?? [],
      }
    }
  }
}

/** Gives each run to the claim that it belongs to: the same process and attempt, the closest moment. Returns the rest. */
function match(
  runs: readonly Run[],
  byId: ReadonlyMap<string, Story>,
  instanceOf: (pod: PodEvidence) => string | undefined,
): Run[] {
  const pairs: { readonly run: Run; readonly grant: Grant; readonly apart: number }[] = []
  for (const run of runs) {
    const { task, id, attempt, claimed } = run.began
    for (const grant of byId.get(`${task} ${id}`)?.grants ?? []) {
      const apart = Math.abs(grant.line.at - claimed)
      if (
        grant.line.instance === instanceOf(run.pod) &&
        grant.line.attempt === attempt &&
        apart <= sameClaimMs
      )
        pairs.push({ run, grant, apart })
    }
  }
  const matched = new Set<Run>()
  for (const { run, grant } of pairs.sort((a, b) => a.apart - b.apart)) {
    if (grant.run || matched.has(run)) continue
    grant.run = run
    matched.add(run)
  }
  return runs.filter((run) => !matched.has(run))
}
