import { mayBeLost, type Violation } from "../evidence.ts"
import { type Collection, collections, type FinalState } from "../final-state.ts"
import type { Story, Told } from "../stories.ts"
import { isTerminal } from "../stream-lines.ts"

const terminalStates = ["c", "f", "x", "e"]

/** I1: every acknowledged dispatch ends, or waits lawfully; one whose answer was lost exists at most once. */
export function* noLoss({ stories, evidence }: Told): Generator<Violation> {
  const say = (text: string): Violation => ({ invariant: "I1", text })
  for (const { task, id, job, asked, acknowledged, refused } of stories) {
    if (acknowledged !== undefined && !job && !mayBeLost(evidence, asked!.at, acknowledged))
      yield say(`job ${id} of ${task} was acknowledged and is gone`)
    if (job && evidence.settings.drained && !terminalStates.includes(job.state))
      yield say(`job ${id} of ${task} has not ended: it is ${job.state}`)
    if (job && refused && refused.code !== "UNCONFIRMED")
      yield say(`job ${id} of ${task} was refused (${refused.code}) and is there`)
  }
  for (const { task, state } of evidence.tasks) {
    const dispatched = Number(state.stats.dispatched ?? 0)
    if (dispatched !== state.jobs.size)
      yield say(`${task}: ${dispatched} jobs were stored, and ${state.jobs.size} exist`)
  }
}

const lettersOf: Readonly<Record<Collection, string>> = {
  waiting: "w",
  priority: "w",
  delayed: "d",
  active: "a",
  completed: "c",
  failed: "f",
  cancelled: "x",
}

/** I2: each id is in exactly one collection, its record agrees, and nothing is left of jobs that are gone. */
export function* onePlace({ evidence }: Told): Generator<Violation> {
  for (const { task, state } of evidence.tasks)
    for (const text of misplaced(state)) yield { invariant: "I2", text: `${task}: ${text}` }
}

function* misplaced(state: FinalState): Generator<string> {
  const found = new Map<string, Collection[]>()
  let tombs = 0
  for (const name of collections)
    for (const place of state.places[name]) {
      const [id, second] = place.split("\t") as [string, string | undefined]
      const job = state.jobs.get(id)
      if (name === "waiting" && job?.state === "x") {
        // What a cancelled job leaves behind.
        tombs++
        continue
      }
      if (!job) yield `${name} holds ${id}, which has no record`
      else if (job.state !== lettersOf[name]) yield `${name} holds ${id}, whose record says ${job.state}`
      else if (name === "active" && Number(second) !== job.token)
        yield `${id} is leased under ${second}, and its record says ${job.token}`
      found.set(id, [...(found.get(id) ?? []), name])
    }
  for (const [id, job] of state.jobs) {
    const places = found.get(id) ?? []
    if (places.length !== 1) yield `${id} (${job.state}) stands in ${places.length} places: [${places}]`
  }
  if (tombs > Number(state.stats.tombs ?? 0))
    yield `${tombs} cancelled ids wait, and ${state.stats.tombs} are known`
  for (const { kind, id } of state.appended) if (!state.jobs.has(id)) yield `${kind}:${id} belongs to no job`
  for (const key of state.strange) yield `the key ${key} is unknown or cannot be read`
}

const terminalLetters: Readonly<Record<string, string>> = { c: "c", f: "f", x: "x" }

/** I3: one terminal transition, and one terminal entry, in each life. */
export function* oneEnd({ stories }: Told): Generator<Violation> {
  for (const story of stories) {
    const { task, id, job, lines } = story
    const ends = lines.filter(isTerminal)
    const due = job && terminalStates.includes(job.state) ? 1 : 0
    const say = (text: string): Violation => ({ invariant: "I3", text: `job ${id} of ${task} ${text}` })
    if (job && ends.length !== due) yield say(`is ${job.state}, and ends ${ends.length} times in the stream`)
    else if (job && due === 1 && terminalLetters[job.state] !== ends[0]!.kind)
      yield say(`is ${job.state}, and ends as ${ends[0]!.kind} in the stream`)
    else if (!job && ends.length > 1) yield say(`ends ${ends.length} times in the stream`)
  }
}

/** What one life is told by: hand-backs are not told, so one run may follow another. Ends count once, by I3. */
const order = /^(a (p )*(s |r )?)*((a (p )*)?[cfx] |a (p )*S f )?$/

/** I4: a job's entries stand in the order of its life, and nothing stands behind its end. */
export function* inOrder({ stories, evidence }: Told): Generator<Violation> {
  for (const story of stories) {
    const text = spelled(story)
    if (!order.test(text))
      yield { invariant: "I4", text: `job ${story.id} of ${story.task} is told as: ${text.trim()}` }
  }
  for (const { task, lines } of evidence.tasks)
    for (const [i, line] of lines.entries()) {
      const before = lines[i - 1]
      if (before && line.at < before.at)
        yield { invariant: "I4", text: `${task}: ${line.seq} was written before ${before.seq}` }
      if (before && line.seq !== before.seq + before.span)
        yield {
          invariant: "I4",
          text: `${task}: ${before.seq} (of ${before.span}) is followed by ${line.seq}`,
        }
    }
}

/** One letter a line: r a failure that is retried, S a stall that ends the job. A second end right behind is I3's. */
function spelled({ lines }: Story): string {
  let ended = false
  return lines
    .map((line) => {
      if (isTerminal(line)) {
        if (ended) return ""
        ended = true
      }
      if (line.kind === "f" && line.next !== undefined) return "r "
      if (line.kind === "s" && line.action === "failed") return "S "
      return `${line.kind} `
    })
    .join("")
}
