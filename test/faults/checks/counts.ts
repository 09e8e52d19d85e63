import type { Evidence, PodEvidence, TaskEvidence, Violation } from "../evidence.ts"
import type { Told } from "../stories.ts"
import { type Line, toldBy } from "../stream-lines.ts"

const is = (kind: string) => (line: Line) => line.kind === kind
const isRetried = ({ kind, next }: Line) => kind === "f" && next !== undefined
const isFailed = ({ kind, next }: Line) => kind === "f" && next === undefined
const isStalled = (action: string) => (line: Line) => line.kind === "s" && line.action === action

/** I8: what :stats says, what the streams say, and what the processes say together is the same. */
export function* counted(told: Told): Generator<Violation> {
  const { evidence, instanceOf } = told
  for (const { task, lines, state } of evidence.tasks) {
    const n = (name: string) => Number(state.stats[name] ?? 0)
    const count = (holds: (line: Line) => boolean) => lines.filter(holds).length
    const releases = [...state.jobs.values()].reduce((sum, job) => sum + job.releases, 0)
    const last = lines.at(-1)
    const told: Readonly<Record<string, readonly [number, number]>> = {
      started: [n("started"), count(is("a"))],
      completed: [n("completed"), count(is("c"))],
      failed: [n("failed"), count(isFailed)],
      attempts_failed: [n("attempts_failed"), count(is("f"))],
      retried: [n("retried"), count(isRetried)],
      stalled_recovered: [n("stalled_recovered"), count(isStalled("recovered"))],
      stalled_failed: [n("stalled_failed"), count(isStalled("failed"))],
      cancelled: [n("cancelled_waiting") + n("cancelled_delayed") + n("cancelled_active"), count(is("x"))],
      released: [n("released"), releases],
      seq: [n("seq"), last ? last.seq + last.span - 1 : 0],
    }
    for (const [name, [stats, stream]] of Object.entries(told))
      if (stats !== stream)
        yield { invariant: "I8", text: `${task}: :stats says ${name} ${stats}, and the stream ${stream}` }
  }
  for (const pod of evidence.pods) {
    const instance = instanceOf(pod)
    if (instance !== undefined) yield* ofPod(pod, instance, evidence)
  }
}

/** What a process counted, and the lines that tell of the same. Recovery's final failures go with its stalls. */
const countedBy: Readonly<Record<string, (line: Line, before: Line | undefined) => boolean>> = {
  active: is("a"),
  completed: is("c"),
  failed: isRetried,
  retrying: isRetried,
  "failed for good": (line, before) => isFailed(line) && !(before?.kind === "s" && before.id === line.id),
  "stalled recovered": isStalled("recovered"),
  "stalled failed": isStalled("failed"),
  cancelled: is("x"),
}

function* ofPod(pod: PodEvidence, instance: string, evidence: Evidence): Generator<Violation> {
  const exact = pod.fate !== "killed" && evidence.losses.length === 0
  for (const { task, lines, lostLines } of evidence.tasks) {
    const did = (kind: string) =>
      pod.observations.reduce(
        (sum, line) =>
          line.what === "did" && line.task === task && line.kind === kind ? sum + line.count : sum,
        0,
      )
    for (const [kind, holds] of Object.entries(countedBy)) {
      const count = (all: readonly Line[]) =>
        all.filter((line, i) => line.instance === instance && holds(line, all[i - 1])).length
      const stream = count(lines)
      const removed = did("removed waiting") + did("removed delayed") + did("removed active")
      const said = kind === "cancelled" ? did(kind) + removed : did(kind)
      const isRight = exact
        ? said === stream
        : said <= stream + count(lostLines) && said >= stream - 2 * pod.slots
      // What was lost with the server's data may have been told by nobody who could be heard.
      if (!isRight && !(evidence.losses.length > 0 && said >= stream - 2 * pod.slots))
        yield {
          invariant: "I8",
          text: `${pod.name} counted ${said} ${kind} of ${task}, and the stream ${stream}`,
        }
    }
  }
}

/** I9: N processes are not N times the jobs: there is nothing that nobody asked for. */
export function* asAsked({ stories, evidence }: Told): Generator<Violation> {
  for (const { task, id, asked } of stories)
    if (!asked) yield { invariant: "I9", text: `nobody asked for job ${id} of ${task}` }
  for (const { task, state } of evidence.tasks) {
    const asked = new Set(
      evidence.pods.flatMap(({ observations }) =>
        observations.flatMap((line) => (line.what === "asked" && line.task === task ? [line.id] : [])),
      ),
    )
    const stored = Number(state.stats.dispatched ?? 0)
    const runs = state.jobs.size
    if (stored > asked.size && stored === runs && stories.every((story) => story.asked))
      yield { invariant: "I9", text: `${asked.size} jobs of ${task} were asked for, and ${stored} stored` }
  }
}

/** I10: each listener that is well hears each event once and in order, or of a gap of exactly its size. */
export function* heard(told: Told): Generator<Violation> {
  for (const pod of told.evidence.pods)
    if (pod.role === "listener")
      for (const task of told.evidence.tasks) yield* heardOf(pod, task, told.evidence)
}

function* heardOf(
  pod: PodEvidence,
  { task, lines, lostLines }: TaskEvidence,
  evidence: Evidence,
): Generator<Violation> {
  const say = (text: string): Violation => ({ invariant: "I10", text: `${pod.name}, ${task}: ${text}` })
  const truth = new Map<string, true>()
  const last = lines.at(-1)
  for (const line of [...lines, ...lostLines])
    for (const { name, seq } of toldBy(line)) truth.set(`${seq} ${name} ${line.id}`, true)
  let at: number | undefined
  let gap: number | undefined
  for (const line of pod.observations) {
    if (line.what === "gap" && line.task === task) gap = (gap ?? 0) + line.lost
    if (line.what !== "heard" || line.task !== task) continue
    const { seq, name, id } = line
    // What a server said that was replaced before anybody wrote it down cannot be held against anything.
    if (!truth.has(`${seq} ${name} ${id}`) && evidence.losses.length === 0)
      yield say(`heard ${name} of ${id} as ${seq}, which the stream does not say`)
    if (at === undefined) {
      const ready = pod.observations.find(({ what }) => what === "ready")?.at ?? Number.POSITIVE_INFINITY
      const missed = lines.find((one) => one.at > ready && one.seq < seq)
      // What it heard first may have been of a stream that is gone.
      if (missed && gap === undefined && evidence.losses.length === 0)
        yield say(`began at ${seq}, after it had missed ${missed.seq}`)
    } else if (seq <= at && (gap === undefined || evidence.losses.length === 0))
      yield say(`heard ${seq} after ${at}`)
    else if (seq > at && seq - at - 1 !== (gap ?? 0))
      yield say(`heard ${seq} after ${at}, and was told of a gap of ${gap ?? 0}`)
    at = seq
    gap = undefined
  }
  if (!evidence.settings.drained || pod.fate === "killed" || !last) return
  const end = last.seq + last.span - 1
  const ready = pod.observations.find(({ what }) => what === "ready")?.at
  const closing = pod.observations.find(({ what }) => what === "closing")?.at ?? Number.POSITIVE_INFINITY
  if (ready === undefined || last.at < ready || last.at > closing) return
  if ((at ?? 0) + (gap ?? 0) !== end && !(gap !== undefined && evidence.losses.length > 0))
    yield say(`heard the last event as ${at ?? "none"}, and the stream ends at ${end}`)
}
