import { type Evidence, mayBeLost, type Violation } from "../evidence.ts"
import type { Grant, Run, Story, Told } from "../stories.ts"
import { isTerminal, type Line } from "../stream-lines.ts"

/** A script's time and its entry's id may be a moment apart, ms. */
const roundingMs = 25
/** Between the moment a process takes for the time of a claim and the stream's. */
const sameClaimMs = 1000

/** I5: what is written carries the last granted token; a loser writes nothing, and its signal aborts. */
export function* fenced(told: Told): Generator<Violation> {
  const say = ({ id, task }: Story, text: string): Violation => ({
    invariant: "I5",
    text: `job ${id} of ${task}: ${text}`,
  })
  for (const story of told.stories) {
    for (const grant of story.grants) {
      const { line, end, run } = grant
      if (end && !isOwn(end, line, story))
        yield say(story, `${end.kind} at ${end.seq} is not of the run that held it (claimed at ${line.seq})`)
      for (const progress of grant.told)
        if (progress.instance !== line.instance || names(progress, run) === false)
          yield say(story, `progress at ${progress.seq} is not of the run claimed at ${line.seq}`)
      if (end?.kind === "c" && names(end, run) === false)
        yield say(story, `its result is not of the run claimed at ${line.seq}`)
      if (run && !heardOfLoss(grant, run, told.evidence))
        yield say(story, `run ${run.began.run} lost its lease and was never aborted`)
    }
    yield* lateLogs(story, say)
  }
  yield* tokens(told)
}

/** Ends are told by the process that held the job, but for those that others bring about. */
function isOwn(end: Line, line: Line, { lines }: Story): boolean {
  if (end.kind === "s" || end.kind === "x") return true
  if (end.kind !== "c" && end.kind !== "f") return true
  const before = lines[lines.indexOf(end) - 1]
  if (before?.kind === "s") return true
  return (
    end.instance === line.instance &&
    end.attempt === line.attempt &&
    Math.abs(end.claimed! - line.at) <= sameClaimMs
  )
}

/** Whether the value names this run; undefined where it names none, or the run is not known. */
function names({ text = "" }: Line, run: Run | undefined): boolean | undefined {
  const named = /"run":"([^"]*)"/.exec(text)?.[1]
  return named === undefined || !run ? undefined : named === run.began.run
}

/** A run that goes on long after it was taken away must have been told. */
function heardOfLoss({ end }: Grant, { pod, ended, aborted }: Run, { settings }: Evidence): boolean {
  if (end?.kind !== "s" || aborted) return true
  const last = ended?.at ?? pod.goneAt ?? pod.observations.at(-1)?.at ?? 0
  const stopped = pod.stops
    .filter(({ to }) => to > end.at)
    .reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, last) - Math.max(from, end.at)), 0)
  return last - end.at - stopped < 4 * settings.leaseMs + 5000 + settings.slackMs
}

function* lateLogs(story: Story, say: (story: Story, text: string) => Violation): Generator<Violation> {
  for (const { run, at } of story.job?.logs ?? []) {
    const grant = story.grants.find((one) => one.run?.began.run === run)
    if (!grant) continue
    const over = grant.end?.at ?? story.grants[story.grants.indexOf(grant) + 1]?.line.at
    if (over !== undefined && at > over + roundingMs)
      yield say(story, `its log has a line that run ${run} wrote ${at - over} ms after it was over`)
  }
}

/** Tokens rise with the claims, and a job that has ended carries that of its last one. */
function* tokens({ stories, evidence }: Told): Generator<Violation> {
  for (const { task } of evidence.tasks) {
    const last = stories
      .filter((story) => story.task === task && story.grants.length > 0 && (story.job?.token ?? 0) > 0)
      .map(({ grants, job }) => ({ seq: grants.at(-1)!.line.seq, token: job!.token, id: job!.id }))
      .sort((a, b) => a.seq - b.seq)
    for (const [i, { id, token }] of last.entries())
      if (i > 0 && token <= last[i - 1]!.token)
        yield {
          invariant: "I5",
          text: `job ${id} of ${task} ended under token ${token}, which was granted before its last claim`,
        }
  }
}

/** I6: each run beyond the first has a recorded reason. */
export function* explained({ stories, strayRuns, evidence }: Told): Generator<Violation> {
  for (const { task, id, lines, grants, job } of stories) {
    if (!job) continue
    const say = (text: string): Violation => ({ invariant: "I6", text: `job ${id} of ${task} ${text}` })
    const retried = lines.filter(({ kind, next }) => kind === "f" && next !== undefined).length
    const stalled = lines.filter(({ kind, action }) => kind === "s" && action === "recovered").length
    const most = retried + stalled + job.releases + 1
    if (grants.length > most)
      yield say(
        `ran ${grants.length} times: ${retried} failed attempts, ${stalled} stalls, ${job.releases} hand-backs`,
      )
    const recorded = (how: string) => job.history.filter((one) => one === how).length
    if (job.history.length < 19 && (recorded("f") !== retried || recorded("s") !== stalled))
      yield say(
        `has a history of [${job.history}], and the stream tells ${retried} retries, ${stalled} stalls`,
      )
  }
  if (evidence.losses.length > 0) return
  for (const { began } of strayRuns)
    yield { invariant: "I6", text: `run ${began.run} of job ${began.id} of ${began.task} was never granted` }
}

/** I7: two live runs of a job only where the first one's lease had run out, or it ignored that it was over. */
export function* alone({ stories, evidence }: Told): Generator<Violation> {
  for (const story of stories) {
    const say = (text: string): Violation => ({
      invariant: "I7",
      text: `job ${story.id} of ${story.task}: ${text}`,
    })
    for (const [i, grant] of story.grants.entries()) {
      const { end, run, line } = grant
      const until = leasedUntil(grant, evidence)
      if (end?.kind === "s" && end.at < until - roundingMs)
        yield say(`the lease of ${line.seq} was taken away ${until - end.at} ms too early`)
      const next = story.grants[i + 1]?.run
      if (!run || !next || !overlaps(run, next)) continue
      if (end?.kind === "s") continue
      const code = end?.kind === "f" ? "TIMEOUT" : end === undefined ? "SHUTDOWN" : "CANCELLED"
      if (run.aborted?.code !== code)
        yield say(
          `run ${next.began.run} began while ${run.began.run} went on (${run.aborted?.code ?? "not aborted"})`,
        )
    }
  }
}

/** When the lease runs out at the earliest: it lasts from the claim, and from each heartbeat that was answered. */
function leasedUntil({ line, run, end }: Grant, evidence: Evidence): number {
  const renewed = (run?.beats ?? [])
    .filter(({ code, at }) => code === "" && (!end || at <= end.at + roundingMs))
    // A renewal may be lost with the server's data, and then the lease is what it was before.
    .filter(({ sent, at }) => !mayBeLost(evidence, sent, at))
    .map(({ sent }) => sent)
  // On a starved server the entry is written long after the script has read its clock.
  const claimed = run?.began.claimed ?? line.at - sameClaimMs
  return Math.max(claimed, ...renewed) + evidence.settings.leaseMs
}

function overlaps(first: Run, second: Run): boolean {
  const over = first.ended?.at ?? first.pod.goneAt ?? Number.POSITIVE_INFINITY
  return over > second.began.at
}

/** I14: a waiter is told the truth, or that it waited too long; so is who cancels. */
export function* truthful({ evidence, byId }: Told): Generator<Violation> {
  const lost = evidence.losses.length > 0
  for (const pod of evidence.pods) {
    const waiting = new Set<string>()
    for (const line of pod.observations) {
      const say = (text: string): Violation => ({ invariant: "I14", text: `${pod.name}: ${text}` })
      if (line.what === "awaited") waiting.add(`${line.task} ${line.id}`)
      if (line.what === "answered") {
        waiting.delete(`${line.task} ${line.id}`)
        const story = byId.get(`${line.task} ${line.id}`)
        const wrong = lost ? undefined : untruth(line.outcome, line.run, story)
        if (wrong)
          yield say(`the waiter for job ${line.id} of ${line.task} was told ${line.outcome}: ${wrong}`)
      }
      if (line.what === "cancel" && !lost) {
        const end = byId.get(`${line.task} ${line.id}`)?.lines.find(isTerminal)
        const isCancelled = end?.kind === "x"
        const claims = line.answer === "cancelled" || line.answer === "requested"
        if (claims && !isCancelled)
          yield say(`cancelling job ${line.id} was answered "${line.answer}", and it ended as ${end?.kind}`)
        if (line.answer === "finished" && (!end || isCancelled))
          yield say(`cancelling job ${line.id} was answered "finished", and it ended as ${end?.kind}`)
      }
    }
    if (!evidence.settings.drained || pod.fate === "killed") continue
    for (const key of waiting)
      yield { invariant: "I14", text: `${pod.name}: whoever waited for ${key} was never answered` }
  }
}

function untruth(outcome: string, run: string | undefined, story: Story | undefined): string | undefined {
  const end = story?.lines.find(isTerminal)
  const refused = story?.refused?.code
  switch (outcome) {
    case "completed":
      if (end?.kind !== "c") return `it ended as ${end?.kind}`
      return end.text?.includes(`"run":"${run}"`) ? undefined : `its result is ${end.text}`
    case "JOB_FAILED":
      return end?.kind === "f" ? undefined : `it ended as ${end?.kind}`
    case "CANCELLED":
      return end?.kind === "x" ? undefined : `it ended as ${end?.kind}`
    case "TIMEOUT":
    case "CLOSED":
      return undefined
    default:
      return refused === outcome ? undefined : "nothing explains that"
  }
}
