import type { Held, Item, Kind, SettleOptions } from "./calls.ts"
import { bodyOf } from "./calls.ts"
import type { Bench, TaskBench } from "./harness.ts"
import { type State, stateNames, subject } from "./states.ts"

/** A call of one script in one way, and what every state must make of it: "word -> where the job is then". */
export interface Row {
  readonly script: string
  readonly title: string
  /** Makes the call; answers the word that says what became of it. */
  readonly act: (task: TaskBench, held: Held, bench: Bench) => Promise<string>
  /** The states in which the call does something; in all others it answers `otherwise` and changes nothing. */
  readonly effects: Partial<Record<State, string>>
  readonly otherwise: string
  /** Overrides `otherwise` where another word says the same. */
  readonly idle?: Partial<Record<State, string>>
}

function each<S extends State>(states: readonly S[], outcome: string): Partial<Record<State, string>> {
  return Object.fromEntries(states.map((state) => [state, outcome]))
}

const running = ["active", "expired"] as const
const stopping = ["requested", "expired, requested"] as const
const queued = [
  "waiting",
  "ranked",
  "retried at once",
  "recovered",
  "handed back",
  "given another life",
] as const
const postponed = ["delayed", "due", "retrying"] as const
const nowhere = ["absent", "forgotten", "forgotten tombstone"] as const
const over = ["completed", "failed"] as const
const ended = [...over, "cancelled", "tombstone"] as const
/** The head of the record still names the holder, so that its settlement counts. */
const torn = ["damaged, active"] as const

function enqueue(title: string, options: object, outcome: string): Row {
  return {
    script: "enqueue",
    title,
    act: async (task) =>
      (await task.fresh(task.calls.enqueue(task.next(), [{ id: subject, named: true, ...options }]))).words,
    effects: each(nowhere, `s -> ${outcome}`),
    otherwise: "d",
  }
}

function settle(
  title: string,
  kinds: readonly (readonly [kind: Kind, body?: string])[],
  expected: { word: string; to: string; asked: string; askedTo: string },
  options: SettleOptions = {},
): Row {
  return {
    script: "settle",
    title,
    act: async (task, held) => {
      const items: Item[] = kinds.map(([kind, body]) => ({ ...held, kind, body: body ?? bodyOf(kind) }))
      return (await task.fresh(task.calls.settle(task.next(), items, options))).words
    },
    effects: {
      ...each([...running, ...torn], `${expected.word} -> ${expected.to}`),
      ...each(stopping, `${expected.asked} -> ${expected.askedTo}`),
    },
    otherwise: "l".repeat(kinds.length),
  }
}

const asked = { asked: "x", askedTo: "cancelled" }

const settlements: readonly Row[] = [
  settle("completed", [["completed"]], { word: "c", to: "completed", ...asked }),
  settle("completed, without a result", [["completed", ""]], { word: "c", to: "completed", ...asked }),
  settle("completed, with a long result", [["completed", `"${"r".repeat(2000)}"`]], {
    word: "c",
    to: "completed",
    ...asked,
  }),
  settle(
    "completed, none kept",
    [["completed", `"${"r".repeat(2000)}"`]],
    { word: "c", to: "gone", asked: "x", askedTo: "gone" },
    { keepCompleted: 0, keepFailed: 0 },
  ),
  settle("failed", [["failed"]], { word: "f", to: "failed", ...asked }),
  settle(
    "failed, none kept",
    [["failed"]],
    { word: "f", to: "gone", asked: "x", askedTo: "gone" },
    { keepFailed: 0 },
  ),
  settle("retried later", [["retried", bodyOf("retried", 60_000)]], { word: "r", to: "delayed", ...asked }),
  settle("retried at once", [["retried", bodyOf("retried", 0)]], { word: "r", to: "waiting", ...asked }),
  settle("cancelled", [["cancelled"]], { word: "x", to: "cancelled", ...asked }),
  settle("released", [["released"]], { word: "b", to: "waiting", ...asked }),
  settle("progress, then completed", [["progress"], ["completed"]], {
    word: "pc",
    to: "completed",
    asked: "px",
    askedTo: "cancelled",
  }),
  settle("progress, then released", [["progress"], ["released"]], {
    word: "pb",
    to: "waiting",
    asked: "px",
    askedTo: "cancelled",
  }),
  settle("completed twice in one call", [["completed"], ["failed"]], {
    word: "cl",
    to: "completed",
    asked: "xl",
    askedTo: "cancelled",
  }),
]

const claimable = [...queued, "damaged, waiting", "damaged, ranked"] as const

const claims: readonly Row[] = [
  {
    script: "settle",
    title: "of nothing, wanting 1",
    act: async (task) => `${(await task.claim(1)).length} claimed`,
    effects: {
      ...each(claimable, "1 claimed -> active"),
      // What a cancelled job left behind is dropped from the list.
      tombstone: "0 claimed -> cancelled",
      "forgotten tombstone": "0 claimed -> gone",
    },
    otherwise: "0 claimed",
  },
  {
    script: "settle",
    title: "of nothing, wanting 0",
    act: async (task) => `${(await task.claim(0)).length} claimed`,
    effects: {},
    otherwise: "0 claimed",
  },
  {
    script: "settle",
    title: "of nothing, wanting 50",
    act: async (task) => `${(await task.claim(50)).length} claimed`,
    effects: {
      ...each(claimable, "1 claimed -> active"),
      tombstone: "0 claimed -> cancelled",
      "forgotten tombstone": "0 claimed -> gone",
    },
    otherwise: "0 claimed",
  },
]

const held = [...running, ...stopping, ...torn, "damaged, expired"] as const

const others: readonly Row[] = [
  {
    script: "renew",
    title: "one lease",
    act: async (task, held) =>
      (await task.fresh(task.calls.renew(task.next(), [{ ...held, run: "00-t" }]))).words,
    effects: {
      ...each(running, "o -> active"),
      ...each(stopping, "x -> active"),
      ...each([...torn, "damaged, expired"], "o -> damaged in active"),
    },
    otherwise: "l",
  },
  {
    script: "progress",
    title: "one report",
    act: async (task, held) => (await task.fresh(task.calls.progress(task.next(), [held]))).words,
    effects: {
      ...each([...running, ...stopping], "o -> active"),
      ...each([...torn, "damaged, expired"], "o -> damaged in active"),
    },
    otherwise: "l",
  },
  ...(["logged", "full"] as const).map(
    (word): Row => ({
      script: "log",
      title: word === "full" ? "beyond the limit" : "one line",
      act: async (task, held) =>
        task.fresh(task.calls.log(task.next(), held, ['"a"', '"b"'], { lines: word === "full" ? 1 : 2 })),
      effects: Object.fromEntries(
        held.map((state) => [
          state,
          `${word} -> ${state.startsWith("damaged") ? "damaged in active" : "active"}`,
        ]),
      ),
      otherwise: "lost",
    }),
  ),
  ...[100, 0].map(
    (keep): Row => ({
      script: "cancel",
      title: keep === 0 ? "once, none kept" : "once",
      act: async (task) => {
        const { word, state } = await task.fresh(task.calls.cancel(task.next(), subject, '"why"', keep))
        return state === "" ? word : `${word} ${state}`
      },
      effects: {
        ...each(queued, `cancelled waiting -> ${keep === 0 ? "gone" : "cancelled"}`),
        ...each(postponed, `cancelled delayed -> ${keep === 0 ? "gone" : "cancelled"}`),
        ...each([...running, ...stopping, "granted again"], "requested active -> active"),
        ...each(
          ["damaged, waiting", "damaged, ranked"],
          `cancelled waiting -> ${keep === 0 ? "gone" : "cancelled"}`,
        ),
        "damaged, due": `cancelled delayed -> ${keep === 0 ? "gone" : "cancelled"}`,
        ...each(["damaged, active", "damaged, expired"], "requested active -> damaged in active"),
      },
      idle: { ...each(over, "finished"), ...each(["cancelled", "tombstone"], "cancelled") },
      otherwise: "unknown",
    }),
  ),
  {
    script: "cancel",
    title: "twice",
    act: async (task) => {
      const first = await task.fresh(task.calls.cancel(task.next(), subject, '"one"'))
      const second = await task.fresh(task.calls.cancel(task.next(), subject, '"two"'))
      return `${first.word}, ${second.word}`
    },
    effects: {
      ...each([...queued, ...postponed], "cancelled, cancelled -> cancelled"),
      ...each([...running, ...stopping, "granted again"], "requested, requested -> active"),
      ...each(["damaged, waiting", "damaged, ranked", "damaged, due"], "cancelled, cancelled -> cancelled"),
      ...each(["damaged, active", "damaged, expired"], "requested, requested -> damaged in active"),
    },
    idle: {
      ...each(over, "finished, finished"),
      ...each(["cancelled", "tombstone"], "cancelled, cancelled"),
    },
    otherwise: "unknown, unknown",
  },
]

async function keep(
  task: TaskBench,
  options: Parameters<TaskBench["calls"]["upkeep"]>[1] = {},
): Promise<string> {
  const { tasks } = await task.send(task.calls.upkeep(task.next(), options))
  const [done] = tasks
  if (done === undefined || done === "stale") return "stale"
  const said = done.stalled.map(({ action }) => action)
  if (done.promoted > 0) said.push(...Array(done.promoted).fill("promoted"))
  return said.join(" ") || "nothing"
}

const promotions = { due: "promoted -> waiting", "damaged, due": "promoted -> waiting" }

const upkeep: readonly Row[] = [
  {
    script: "upkeep",
    title: "once",
    act: (task) => keep(task),
    effects: {
      expired: "recovered -> waiting",
      "expired, requested": "cancelled -> cancelled",
      "damaged, expired": "recovered -> waiting",
      ...promotions,
    },
    otherwise: "nothing",
  },
  {
    script: "upkeep",
    title: "with no stall allowed",
    act: (task) => keep(task, { stalls: 0 }),
    effects: {
      expired: "failed -> failed",
      "expired, requested": "cancelled -> cancelled",
      "damaged, expired": "failed -> failed",
      ...promotions,
    },
    otherwise: "nothing",
  },
  {
    script: "upkeep",
    title: "with no stall allowed, none kept",
    act: (task) => keep(task, { stalls: 0, keepFailed: 0 }),
    effects: {
      expired: "failed -> gone",
      "expired, requested": "cancelled -> gone",
      "damaged, expired": "failed -> gone",
      ...promotions,
    },
    otherwise: "nothing",
  },
  {
    script: "upkeep",
    title: "when ended jobs are too old",
    act: async (task, _held, bench) => {
      await bench.pass(3)
      return keep(task, { ageCompleted: 1, ageFailed: 1 })
    },
    effects: {
      ...each(ended, "nothing -> gone"),
      expired: "recovered -> waiting",
      "expired, requested": "cancelled -> cancelled",
      "damaged, expired": "recovered -> waiting",
      ...promotions,
    },
    otherwise: "nothing",
  },
]

const damagedStates = stateNames.filter((state) => state.startsWith("damaged"))

const letters: readonly Row[] = [
  {
    script: "revive",
    title: "once",
    act: async (task) =>
      (await task.fresh(task.calls.revive(task.next(), [{ id: subject }, { id: subject }]))).words,
    effects: { failed: "rf -> waiting" },
    otherwise: "ff",
    idle: each([...nowhere, ...damagedStates], "uu"),
  },
  {
    script: "revive",
    title: "after another failure",
    act: async (task) =>
      (await task.fresh(task.calls.revive(task.next(), [{ id: subject, finished: 5 }]))).words,
    effects: {},
    otherwise: "f",
    idle: each([...nowhere, ...damagedStates], "u"),
  },
  {
    script: "discard",
    title: "once",
    act: async (task) =>
      (await task.fresh(task.calls.discard(task.next(), [{ id: subject }, { id: subject }]))).words,
    effects: { failed: "du -> gone" },
    otherwise: "ff",
    idle: each([...nowhere, ...damagedStates], "uu"),
  },
  ...(["completed", "failed", "cancelled"] as const).map(
    (state): Row => ({
      script: "clean",
      title: `${state} ones`,
      act: async (task) => `${(await task.fresh(task.calls.clean(task.next(), state))).count} cleaned`,
      effects: each(state === "cancelled" ? [state, "tombstone"] : [state], "1 cleaned -> gone"),
      otherwise: "0 cleaned",
    }),
  ),
]

export const rows: readonly Row[] = [
  enqueue("named", {}, "waiting"),
  enqueue("named, with a priority", { priority: 3 }, "waiting"),
  enqueue("named, delayed", { delay: 60_000 }, "delayed"),
  ...settlements,
  ...claims,
  ...others,
  ...upkeep,
  ...letters,
]
