import type { PodEvidence, Violation } from "../evidence.ts"
import type { Of } from "../observations.ts"
import type { Told } from "../stories.ts"

const mostCommandsPerSecond = 5
const mostIdleCpu = 0.05
/** close() may take its timeout and this, ms. */
const closeGraceMs = 2000
const spinShare = 0.9
const spinPulses = 4

/** I11: work goes on soon after healing; an idle process costs next to nothing; no loop spins. */
export function* lively({ evidence }: Told): Generator<Violation> {
  const say = (text: string): Violation => ({ invariant: "I11", text })
  const { recoverWithinMs } = evidence.settings
  for (const { fault, ms } of evidence.recoveries)
    if (!(ms <= recoverWithinMs)) yield say(`work went on ${Math.round(ms)} ms after "${fault}" had healed`)
  const { idle } = evidence
  if (idle && idle.commandsPerSecond >= mostCommandsPerSecond)
    yield say(`an idle process sent ${idle.commandsPerSecond} commands a second`)
  if (idle && idle.cpuShare >= mostIdleCpu) yield say(`an idle process used ${idle.cpuShare * 100} % CPU`)
  for (const pod of evidence.pods) {
    const text = spinning(pod)
    if (text) yield say(text)
  }
}

/** Several half seconds in a row in which the process did nothing but compute. */
function spinning({ name, observations }: PodEvidence): string | undefined {
  let before: Of<"pulse"> | undefined
  let inRow = 0
  let blocked = false
  for (const line of observations) {
    if (line.what === "blocked") blocked = true
    if (line.what !== "pulse") continue
    const passed = before ? line.mono - before.mono : 0
    const busy = before ? (line.cpu - before.cpu) / 1000 / passed : 0
    inRow = busy > spinShare && !blocked ? inRow + 1 : 0
    if (inRow >= spinPulses) return `${name} spun: ${Math.round(busy * 100)} % CPU`
    before = line
    blocked = false
  }
  return undefined
}

/** I12: close() keeps its timeout and leaves nothing: no socket, no timer, no key, no connection. */
export function* cleanedUp({ evidence }: Told): Generator<Violation> {
  const say = (text: string): Violation => ({ invariant: "I12", text })
  for (const { name, fate, observations, exitCode } of evidence.pods) {
    let closing: Of<"closing"> | undefined
    for (const line of observations) {
      if (line.what === "closing") closing = line
      if (
        line.what === "closed" &&
        line.ms > (closing?.timeout ?? 0) + closeGraceMs + evidence.settings.slackMs
      )
        yield say(`${name}: close({ timeout: ${closing?.timeout} }) took ${Math.round(line.ms)} ms`)
      if (line.what === "left" && line.resources.length > 0)
        yield say(`${name}: close() left ${line.resources.join(", ")}`)
    }
    if (fate !== "closed") continue
    if (!observations.some(({ what }) => what === "closed")) yield say(`${name}: close() did not end`)
    else if (exitCode !== 0) yield say(`${name} did not end by itself after close(): ${exitCode}`)
  }
  const { clients, keys } = evidence.remains
  if (clients > 0) yield say(`${clients} connections were left`)
  for (const key of keys) yield say(`the key ${key} was left`)
}

/** I13: no unhandled rejection and no uncaught exception, ever. */
export function* quiet({ evidence }: Told): Generator<Violation> {
  for (const { name, observations } of evidence.pods)
    for (const line of observations)
      if (line.what === "unhandled") yield { invariant: "I13", text: `${name}: ${line.message}` }
}
