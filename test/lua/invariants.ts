import { isTerminal, type Ledger } from "./ledger.ts"
import { type Fields, idOf, placeOf, type TaskState, termsOf } from "./task-state.ts"

/** What the checker knows besides the state itself. */
export interface Surroundings {
  readonly ledger: Ledger
  /** How often each id was stored. */
  readonly lives: ReadonlyMap<string, number>
  /** Jobs whose records a test has damaged on purpose: what they hold is not judged. */
  readonly damaged: ReadonlySet<string>
  /** A test has taken the wake marker and not claimed yet. */
  readonly markerTaken: boolean
  /** The state before the call. */
  readonly before?: TaskState
}

const lists = { c: "completed", f: "failed", x: "cancelled", e: "expired" } as const
const perBand = 4_294_967_296n

type Rule = (state: TaskState, around: Surroundings) => Iterable<string>

/** Each rule with the invariant that it holds (I1 to I14, as test/faults names them). */
const rules: readonly (readonly [invariant: string, rule: Rule])[] = [
  ["I2", (...of) => records(...of)],
  ["I2", (...of) => collections(...of)],
  ["I12", (...of) => appendages(...of)],
  ["I2", (...of) => requests(...of)],
  ["I2", (...of) => expiries(...of)],
  ["I2", (...of) => parkings(...of)],
  ["I2", (...of) => slots(...of)],
  ["I12", (...of) => gates(...of)],
  ["I11", (...of) => hints(...of)],
  ["I10", (...of) => stream(...of)],
  ["I8", (...of) => counters(...of)],
  ["I3", (...of) => ends(...of)],
  ["I4", (...of) => stories(...of)],
  ["I5", (...of) => tokens(...of)],
  ["I8", (...of) => growth(...of)],
]

/** The invariants that a task's state breaks, in words. */
export function violations(state: TaskState, around: Surroundings): string[] {
  return rules.flatMap(([name, rule]) => [...rule(state, around)].map((what) => `${name}: ${what}`))
}

function number(state: TaskState, name: string): number {
  return Number(state.stats.get(name) ?? "0")
}

/** Each record stands in the collection of its state, and says what the collection says. */
function* records(state: TaskState, { damaged }: Surroundings): Generator<string> {
  for (const [id, r] of state.records) {
    if (damaged.has(id)) continue
    if (!r) {
      yield `the record of ${id} cannot be read: ${state.texts.get(id)}`
      continue
    }
    const found = whereabouts(state, id, r)
    const right = r.state === "w" ? (r.order === "" ? "waiting" : "priority") : placeNames[r.state]!
    if (found.length !== 1 || found[0] !== right) yield `${id} is ${r.state}, and stands in [${found}]`
    yield* recordAgrees(state, id, r)
  }
}

const placeNames: Readonly<Record<string, string>> = {
  n: "newer",
  k: "parked",
  d: "delayed",
  a: "active",
  ...lists,
}

function whereabouts(state: TaskState, id: string, r: Fields): string[] {
  const place = placeOf(id, r)
  const tombstone = r.state === "x" || r.state === "e"
  const found = tombstone ? [] : state.waiting.filter((entry) => entry === place).map(() => "waiting")
  for (const entry of state.priority.keys()) if (idOf(entry) === id) found.push("priority")
  for (const entry of state.delayed.keys()) if (idOf(entry) === id) found.push("delayed")
  for (const entry of state.active.keys()) if (idOf(entry) === id) found.push("active")
  for (const entry of state.newer.keys()) if (idOf(entry) === id) found.push("newer")
  for (const member of state.parked) if (idOf(parkedPlace(member)) === id) found.push("parked")
  for (const name of Object.values(lists))
    for (const entry of state[name]) if (idOf(entry) === id) found.push(name)
  return found
}

function* recordAgrees(state: TaskState, id: string, r: Fields): Generator<string> {
  const place = placeOf(id, r)
  if (r.state === "w" && r.order !== "") {
    const score = (BigInt(r.order) % perBand) - BigInt(r.priority || "0") * perBand
    const stands = state.priority.get(place)
    if (stands === undefined || BigInt(stands) !== score) yield `${id} stands at another score than ${score}`
  }
  if (r.state === "d" && state.delayed.get(place) !== Number(r.eligible))
    yield `${id} is due at ${state.delayed.get(place)}, and its record says ${r.eligible}`
  if (r.state === "n" && Math.floor((state.newer.get(place) ?? 0) / 2 ** 32) !== Number(termsOf(r).version))
    yield `${id} is of version ${termsOf(r).version}, and stands at ${state.newer.get(place)} among the newer ones`
  if (r.state === "a" && !state.active.has(`${id}\t${r.token}`))
    yield `${id} is leased under another token than ${r.token}`
  if (r.state === "a" && Number(r.attempt) !== Number(r.fails) + 1)
    yield `${id} runs attempt ${r.attempt} after ${r.fails} failed ones`
  if (r.state in lists) {
    const list = state[lists[r.state as keyof typeof lists]]
    const entry = `${id}\t${r.finished}\t${r.flags}`
    if (!list.includes(entry)) yield `${id} ended otherwise than its list says: ${entry}`
  }
  if ((r.finished !== "") !== r.state in lists) yield `${id} is ${r.state} and finished at "${r.finished}"`
  if (r.history !== "" && !r.history.split(";").every((run) => /^\d*:\d*:\d+:[fsbd]:[^:;]*$/.test(run)))
    yield `${id} has a history that cannot be read: ${r.history}`
}

/** No collection names a job that does not stand in it; what cancelled jobs left in the list is counted. */
function* collections(state: TaskState, { damaged }: Surroundings): Generator<string> {
  const stranger = (id: string, letter: string) => !damaged.has(id) && state.records.get(id)?.state !== letter
  for (const place of state.priority.keys())
    if (stranger(idOf(place), "w")) yield `priority holds ${place}, which does not wait`
  for (const place of state.delayed.keys())
    if (stranger(idOf(place), "d")) yield `delayed holds ${place}, which is not delayed`
  for (const place of state.newer.keys())
    if (stranger(idOf(place), "n")) yield `newer holds ${place}, which waits for nobody`
  for (const place of state.active.keys())
    if (stranger(idOf(place), "a")) yield `active holds ${place}, which is not active`
  for (const [letter, name] of Object.entries(lists)) {
    const times = state[name].map((entry) => Number(entry.split("\t")[1]))
    if (times.some((time, i) => i > 0 && time > times[i - 1]!)) yield `${name} is out of order`
    for (const entry of state[name])
      if (stranger(idOf(entry), letter)) yield `${name} holds ${entry}, which has no such record`
  }
  if (damaged.size > 0) return
  const left = state.waiting.filter((place) => {
    const r = state.records.get(idOf(place))
    return r?.state !== "w" || r.order !== "" || placeOf(idOf(place), r) !== place
  })
  if (left.length !== number(state, "tombs"))
    yield `the list holds ${left.length} tombstones (${left}), and tombs says ${number(state, "tombs")}`
}

/** Long data, progress, logs and long results have an owner who knows of them. */
function* appendages(state: TaskState, { damaged }: Surroundings): Generator<string> {
  for (const [kind, flag, held] of [
    ["data", "b", state.datas],
    ["progress", "p", state.progress],
    ["logs", "l", state.logs],
  ] as const)
    for (const id of held.keys())
      if (!damaged.has(id) && !state.records.get(id)?.flags.includes(flag))
        yield `${kind} of ${id} has no owner`
  for (const [id, { ttl }] of state.results)
    if (!damaged.has(id) && ttl < 0 && !state.records.get(id)?.flags.includes("r"))
      yield `result of ${id} has no owner`
  for (const [id, r] of state.records) {
    if (!damaged.has(id) && r?.flags.includes("b") && !state.datas.has(id)) yield `${id} has lost its data`
    if (r?.flags.includes("p") && !state.progress.has(id)) yield `${id} has lost its progress`
    if (r?.flags.includes("l") && !state.logs.has(id)) yield `${id} has lost its logs`
    if (r?.flags.includes("r") && state.results.get(id)?.ttl !== -1) yield `${id} has lost its result`
    if (r && new Set(r.flags).size !== r.flags.length) yield `${id} has flags twice: ${r.flags}`
  }
  for (const name of state.strange) yield `nobody knows the key ${name}`
}

function* requests(state: TaskState, { damaged }: Surroundings): Generator<string> {
  if (state.cancels.size !== number(state, "requests"))
    yield `${state.cancels.size} cancels are asked for, and requests says ${number(state, "requests")}`
  for (const id of state.cancels.keys())
    if (!damaged.has(id) && state.records.get(id)?.state !== "a")
      yield `a cancel of ${id} is asked for, which is not active`
}

/** Jobs with a ttl expire from wherever they wait, and from nowhere else. */
function* expiries(state: TaskState, { damaged }: Surroundings): Generator<string> {
  for (const [id, r] of state.records) {
    if (!r || damaged.has(id)) continue
    const at = state.expiring.get(placeOf(id, r))
    const expires = Number(termsOf(r).expires)
    if (at !== (waits.includes(r.state) && expires > 0 ? expires : undefined))
      yield `${id} is ${r.state}, expires at ${expires}, and stands in expiring at ${at}`
  }
  for (const place of state.expiring.keys())
    if (!damaged.has(idOf(place)) && !state.records.has(idOf(place)))
      yield `expiring holds ${place}, which has no record`
}

const waits = ["w", "n", "d", "k"]

function parkedPlace(member: string): string {
  return member.split("\t").slice(2).join("\t")
}

/** Parked jobs stand under their key, by priority and turn, and are counted. */
function* parkings(state: TaskState, { damaged }: Surroundings): Generator<string> {
  for (const member of state.parked) {
    const [key, rank] = member.split("\t")
    const id = idOf(parkedPlace(member))
    const r = state.records.get(id)
    if (damaged.has(id)) continue
    if (r?.state !== "k" || placeOf(id, r) !== parkedPlace(member)) {
      yield `parked holds ${member}, which is not parked`
      continue
    }
    const terms = termsOf(r)
    const right = String(2_097_152 - Number(r.priority)).padStart(7, "0") + terms.turn.padStart(16, "0")
    if (terms.key !== key || rank !== right)
      yield `${id} is parked under ${member}, not ${terms.key} ${right}`
  }
  if (number(state, "parked") !== state.parked.length)
    yield `${state.parked.length} jobs are parked, and parked says ${number(state, "parked")}`
}

/** Those who have a slot of a key run, or wait at the front for their turn; while others are parked, none is free. */
function* slots(state: TaskState, { damaged }: Surroundings): Generator<string> {
  if (damaged.size > 0) return
  const limits = new Map<string, Set<number>>()
  const runs = new Map<string, number>()
  for (const [id, r] of state.records) {
    if (!r) continue
    const { key, limit } = termsOf(r)
    if (limit === "") continue
    limits.set(key, (limits.get(key) ?? new Set()).add(Number(limit)))
    if (r.state !== "a") continue
    runs.set(key, (runs.get(key) ?? 0) + 1)
    if (!state.holders.get(key)?.includes(`${id}\t${r.token}`)) yield `${id} runs without a slot of ${key}`
  }
  for (const [key, members] of state.holders) {
    if (members.length === 0) yield `holders of ${key} are left behind`
    for (const member of members) {
      const [id, last] = member.startsWith("\t") ? [idOf(member.slice(1)), undefined] : member.split("\t")
      const r = state.records.get(id!)
      const right =
        last === undefined ? r?.state === "w" && `\t${placeOf(id!, r)}` === member : state.active.has(member)
      if (!right || termsOf(r!).key !== key)
        yield `${JSON.stringify(member)} holds a slot of ${key} for nothing`
    }
    if (members.length > Math.max(...(limits.get(key) ?? [0])))
      yield `${members.length} hold a slot of ${key}, which allows ${[...(limits.get(key) ?? [])]}`
  }
  for (const member of state.parked) {
    const key = member.split("\t")[0]!
    const allowed = [...(limits.get(key) ?? [])]
    if (allowed.length === 1 && (state.holders.get(key)?.length ?? 0) < allowed[0]!)
      yield `${member} is parked while a slot is free: ${state.holders.get(key)}`
  }
}

/** What gates remember is in order and goes with time, or with the jobs that it is about. */
function* gates(state: TaskState, { damaged }: Surroundings): Generator<string> {
  for (const [key, { entries, ttl }] of state.throttles) {
    if (ttl < 0) yield `the throttle of ${key} stays for ever`
    if (entries.some((time, i) => i > 0 && Number(time) > Number(entries[i - 1])))
      yield `the throttle of ${key} is out of order: ${entries}`
  }
  for (const [key, { entries, ttl }] of state.debounces) {
    if (ttl < 0) yield `the debounce of ${key} stays for ever`
    if (!/^[^\t]+\t\d+\t\d+$/.test(entries[0]!)) yield `the debounce of ${key} cannot be read: ${entries}`
  }
  const under = (id: string, r: Fields | undefined) =>
    r && !damaged.has(id) && !(r.state in lists) ? termsOf(r).dedupe : ""
  for (const [id, r] of state.records) {
    const key = under(id, r)
    if (key !== "" && !state.dedupes.get(key)?.entries.includes(id))
      yield `${id} lives, and is not known under its deduplication key ${key}`
  }
  for (const [key, { entries }] of state.dedupes)
    for (const id of entries)
      if (!damaged.has(id) && under(id, state.records.get(id)) !== key)
        yield `${id} does not live under the deduplication key ${key}`
}

function* hints(state: TaskState, { markerTaken }: Surroundings): Generator<string> {
  const due = state.stats.get("due")
  const earliest = Math.min(...state.delayed.values(), ...state.expiring.values())
  if (earliest < Number.POSITIVE_INFINITY && (due === undefined || Number(due) > earliest))
    yield `the next job falls due at ${earliest}, and due says ${due}`
  if (state.priority.size > 0 && state.stats.get("ranked") !== "1")
    yield "priority holds jobs unknown to ranked"
  const waits = state.waiting.length + state.priority.size > 0
  if (waits && !markerTaken && state.wake.length === 0) yield "jobs wait, and no marker wakes anybody"
}

function* stream(state: TaskState, { ledger }: Surroundings): Generator<string> {
  yield* ledger.faults
  if (ledger.seq !== number(state, "seq"))
    yield `the stream ends at ${ledger.seq}, and seq says ${number(state, "seq")}`
}

/** Counters equal what the stream says, and nothing is lost between them. */
function* counters(state: TaskState, { ledger }: Surroundings): Generator<string> {
  const n = (name: string) => number(state, name)
  const cancelled = n("cancelled_waiting") + n("cancelled_delayed") + n("cancelled_active")
  const told: Readonly<Record<string, readonly [counted: number, told: number]>> = {
    started: [n("started"), ledger.count("active")],
    completed: [n("completed"), ledger.count("completed")],
    failed: [n("failed"), ledger.count("failed", ({ fields }) => fields.willRetry === false)],
    retried: [n("retried"), ledger.count("retrying")],
    revived: [n("revived"), ledger.count("revived")],
    attempts_failed: [n("attempts_failed"), ledger.count("failed")],
    stalled_recovered: [
      n("stalled_recovered"),
      ledger.count("stalled", ({ fields }) => fields.action === "recovered"),
    ],
    stalled_failed: [
      n("stalled_failed"),
      ledger.count("stalled", ({ fields }) => fields.action === "failed"),
    ],
    cancelled: [cancelled, ledger.count("cancelled")],
    expired: [n("expired"), ledger.count("expired")],
  }
  for (const [name, [counted, said]] of Object.entries(told))
    if (counted !== said) yield `${name} is ${counted}, and the stream tells ${said}`
  const held = [...state.records.values()].filter((r) => !r || !(r.state in lists)).length
  const ended = n("completed") + n("failed") + cancelled + n("expired") + n("discarded")
  if (n("dispatched") + n("revived") !== held + ended)
    yield `${n("dispatched")} jobs were dispatched and ${n("revived")} revived; ${ended} ended and ${held} are there`
  const runs =
    n("completed") + n("attempts_failed") + n("stalled_recovered") + n("released") + n("cancelled_active")
  if (n("started") !== runs + state.active.size)
    yield `${n("started")} runs were started; ${runs} ended and ${state.active.size} go on`
}

function storiesOf(ledger: Ledger): Map<string, string[]> {
  const stories = new Map<string, string[]>()
  for (const event of ledger.events) {
    const story = stories.get(event.id) ?? []
    story.push(isTerminal(event) ? (event.name === "failed" ? "dead" : "end") : event.name)
    stories.set(event.id, story)
  }
  return stories
}

/** Each life of a job ends with one terminal entry. */
function* ends(state: TaskState, { ledger, lives, damaged }: Surroundings): Generator<string> {
  const told = storiesOf(ledger)
  const silent: string[] = []
  for (const [id, count] of lives) {
    if (damaged.has(id)) continue
    const r = state.records.get(id)
    const story = told.get(id) ?? []
    const ends = story.filter((name) => name === "end" || name === "dead").length
    const all = count + story.filter((name) => name === "revived").length
    const due = r && !(r.state in lists) ? all - 1 : all
    for (let lack = due - ends; lack > 0; lack--) silent.push(id)
    if (ends > due) yield `${id} lived ${all} times and ended ${ends} times`
  }
  // Jobs that are discarded end without a word.
  if (damaged.size === 0 && silent.length !== number(state, "discarded"))
    yield `of [${silent}] no end was told, and discarded says ${number(state, "discarded")}`
}

/** What is told of a job makes sense, and nothing is told after its end. */
function* stories(_state: TaskState, { ledger, lives, damaged }: Surroundings): Generator<string> {
  for (const [id, story] of storiesOf(ledger)) {
    if (!lives.has(id)) yield `the stream tells of ${id}, which was never stored`
    if (!damaged.has(id) && !storyPattern.test(story.map((name) => `${name} `).join("")))
      yield `the stream tells of ${id}: ${story.join(" ")}`
  }
}

/** What lives are told by. A hand-back is not told, so one run may follow another; only what failed lives again. */
const storyPattern =
  /^((active (progress )*(stalled |failed retrying )?)*(end |dead (revived )?))*(active (progress )*(stalled |failed retrying )?)*$/

/** Tokens only rise: each was granted once. */
function* tokens(state: TaskState, { before }: Surroundings): Generator<string> {
  const tokens = [...state.active.keys()].map((member) => Number(member.split("\t")[1]))
  if (new Set(tokens).size !== tokens.length) yield `a token was granted twice: ${tokens}`
  if (tokens.some((token) => token > number(state, "token")))
    yield "a token is higher than the last one granted"
  if (!before) return
  for (const member of state.active.keys())
    if (!before.active.has(member) && Number(member.split("\t")[1]) <= number(before, "token"))
      yield `${member} was granted a token that is not new`
}

/** Counters and seq only rise, and the epoch stays. */
function* growth(state: TaskState, { before }: Surroundings): Generator<string> {
  if (!before) return
  const falling = ["tombs", "requests", "due", "ranked", "epoch", "sweeping", "parked", "paused", "looked"]
  for (const [name, value] of before.stats) {
    if (name.startsWith("lane:") || falling.includes(name)) continue
    if (!(number(state, name) >= Number(value)))
      yield `${name} fell from ${value} to ${state.stats.get(name)}`
  }
  const epoch = before.stats.get("epoch")
  if (epoch !== undefined && state.stats.get("epoch") !== epoch) yield "the epoch changed"
}
