import { describe, expect, it } from "vitest"
import { violations } from "./checker.ts"
import { type Evidence, type Invariant, invariants } from "./evidence.ts"
import { type Forged, Forgery, lawful, leaseMs, task } from "./forged.ts"
import type { Observation, Of } from "./observations.ts"

/** A ledger that breaks one invariant: steps that should not have been, or a line changed afterwards. */
interface Lie {
  readonly of: Invariant
  readonly what: string
  readonly steps?: (f: Forgery) => void
  readonly forge?: (evidence: Forged) => void
}

const lies: readonly Lie[] = [
  {
    of: "I1",
    what: "an acknowledged job is gone",
    steps: (f) => {
      f.dispatch("gone")
      f.jobs.delete("gone")
    },
  },
  { of: "I1", what: "a job never ends", steps: (f) => void f.dispatch("left") },
  {
    of: "I1",
    what: "a job exists whose dispatch was told that nothing was stored",
    steps: (f) => {
      f.dispatch("ghost", { answer: "CONNECTION" })
      f.complete(f.claim("ghost"))
    },
  },
  {
    of: "I1",
    what: "more was stored than exists",
    forge: ({ tasks }) => add(tasks[0]!.state.stats, "dispatched", 1),
  },
  { of: "I2", what: "an id is in two collections", forge: (e) => placesOf(e).failed.push("plain") },
  {
    of: "I2",
    what: "an id is in no collection",
    forge: (e) => placesOf(e).completed.splice(placesOf(e).completed.indexOf("plain"), 1),
  },
  {
    of: "I2",
    what: "a collection holds an id without a record",
    forge: (e) => placesOf(e).waiting.push("nobody"),
  },
  {
    of: "I2",
    what: "a lease is held under another token",
    steps: (f) => {
      f.dispatch("running")
      f.claim("running")
      f.drained = false
    },
    forge: (e) => {
      placesOf(e).active = ["running\t77"]
    },
  },
  {
    of: "I2",
    what: "progress is left of a job that is gone",
    forge: ({ tasks }) => tasks[0]!.state.appended.push({ kind: "progress", id: "nobody" }),
  },
  { of: "I2", what: "a key is unknown", forge: ({ tasks }) => tasks[0]!.state.strange.push("jbo:plain") },
  {
    of: "I3",
    what: "a job completes twice",
    steps: (f) => {
      f.dispatch("twice")
      const run = f.claim("twice")
      f.complete(run)
      f.completed(run)
    },
  },
  {
    of: "I3",
    what: "a job has ended, and the stream does not say so",
    steps: (f) => {
      f.dispatch("silent").state = "x"
    },
  },
  {
    of: "I3",
    what: "the stream says another end than the record",
    steps: (f) => {
      f.jobs.get("plain")!.state = "f"
    },
  },
  {
    of: "I4",
    what: "progress is told after the end",
    steps: (f) => {
      f.dispatch("late")
      const run = f.claim("late")
      f.complete(run)
      f.progress(run)
    },
  },
  {
    of: "I4",
    what: "a job stalls twice in one run",
    steps: (f) => {
      f.dispatch("twice stalled")
      const run = f.claim("twice stalled")
      f.pass(leaseMs + 50)
      f.stall(run)
      f.stall(run)
      f.lose(run)
      f.complete(f.claim("twice stalled"))
    },
  },
  {
    of: "I4",
    what: "the stream leaves a number out",
    steps: (f) => {
      f.dispatch("after a hole")
      f.complete(f.claim("after a hole"))
    },
    forge: ({ tasks, pods }) => {
      const { lines, state } = tasks[0]!
      const at = lines.findIndex(({ id }) => id === "after a hole")
      for (let i = at; i < lines.length; i++) Object.assign(lines[i]!, { seq: lines[i]!.seq + 3 })
      add(state.stats, "seq", 3)
      // The listener hears what is there, and of the gap.
      const heard = observationsOf(pods, "listener4")
      const first = heard.findIndex((line) => line.what === "heard" && line.id === "after a hole")
      for (const line of heard.slice(first))
        if (line.what === "heard") Object.assign(line, { seq: line.seq + 3 })
      heard.splice(first, 0, { what: "gap", task, lost: 3, at: 0, mono: 0 })
    },
  },
  {
    of: "I4",
    what: "an entry is older than the one before it",
    forge: ({ tasks }) => {
      const { lines } = tasks[0]!
      const progress = lines.findIndex(({ kind }) => kind === "p")
      Object.assign(lines[progress]!, { at: lines[progress - 1]!.at - 1 })
    },
  },
  {
    of: "I5",
    what: "a loser completes the job",
    steps: (f) => {
      f.dispatch("fought over")
      const loser = f.claim("fought over")
      f.pass(leaseMs + 50)
      f.stall(loser)
      const winner = f.claim("fought over", f.other)
      f.end(loser, "returned")
      f.completed(loser)
      f.lose(winner)
    },
  },
  {
    of: "I5",
    what: "a loser tells progress",
    steps: (f) => {
      f.dispatch("fought over")
      const loser = f.claim("fought over")
      f.pass(leaseMs + 50)
      f.stall(loser)
      const winner = f.claim("fought over", f.other)
      f.progress(loser)
      f.lose(loser)
      f.complete(winner)
    },
  },
  {
    of: "I5",
    what: "a loser of the same process tells progress",
    steps: (f) => {
      f.dispatch("fought over")
      const loser = f.claim("fought over")
      f.pass(leaseMs + 50)
      f.stall(loser)
      const winner = f.claim("fought over")
      f.progress(loser)
      f.lose(loser)
      f.complete(winner)
    },
  },
  {
    of: "I5",
    what: "a loser writes into the log",
    steps: (f) => {
      f.dispatch("fought over")
      const loser = f.claim("fought over")
      f.pass(leaseMs + 50)
      f.stall(loser)
      f.pass(100)
      f.log(loser)
      const winner = f.claim("fought over", f.other)
      f.lose(loser)
      f.complete(winner)
    },
  },
  {
    of: "I5",
    what: "a result is another run's",
    steps: (f) => {
      f.dispatch("swapped")
      const run = f.claim("swapped")
      f.end(run, "returned")
      f.completed(run, "worker2.1")
    },
  },
  {
    of: "I5",
    what: "a job ends under an old token",
    steps: (f) => {
      f.dispatch("aged")
      f.complete(f.claim("aged"))
      f.jobs.get("aged")!.token = 1
    },
  },
  {
    of: "I5",
    what: "a loser is never aborted",
    steps: (f) => {
      f.dispatch("fought over")
      const loser = f.claim("fought over")
      f.pass(leaseMs + 50)
      f.stall(loser)
      f.complete(f.claim("fought over", f.other))
      f.pass(20_000)
      f.end(loser, "returned")
    },
  },
  {
    of: "I6",
    what: "a job runs again for no reason",
    steps: (f) => {
      f.dispatch("again")
      f.end(f.claim("again"), "returned")
      f.complete(f.claim("again"))
    },
  },
  {
    of: "I6",
    what: "a run was never granted",
    steps: (f) =>
      f.note(f.other, { what: "run", task, id: "plain", attempt: 1, run: "worker3.x", claimed: f.now }),
  },
  {
    of: "I6",
    what: "the record gives other reasons than the stream",
    steps: (f) => {
      f.jobs.get("retried")!.history = ["s"]
    },
  },
  {
    of: "I7",
    what: "a job runs twice at a time",
    steps: (f) => {
      f.dispatch("doubled")
      const first = f.claim("doubled")
      f.release(first)
      const second = f.claim("doubled", f.other)
      f.end(first, "threw")
      f.complete(second)
    },
  },
  {
    of: "I7",
    what: "a lease is taken away before it has run out",
    steps: (f) => {
      f.dispatch("robbed")
      const run = f.claim("robbed")
      f.pass(leaseMs / 2)
      f.stall(run)
      f.lose(run)
      f.complete(f.claim("robbed"))
    },
  },
  {
    of: "I7",
    what: "a lease is taken away although it was renewed",
    steps: (f) => {
      f.dispatch("robbed")
      const run = f.claim("robbed")
      f.pass(leaseMs - 50)
      f.beat(run)
      f.pass(100)
      f.stall(run)
      f.lose(run)
      f.complete(f.claim("robbed"))
    },
  },
  ...[
    "started",
    "completed",
    "failed",
    "retried",
    "attempts_failed",
    "stalled_recovered",
    "released",
    "seq",
  ].map(
    (name): Lie => ({
      of: "I8",
      what: `:stats counts one ${name} too many`,
      forge: ({ tasks }) => add(tasks[0]!.state.stats, name, 1),
    }),
  ),
  {
    of: "I8",
    what: "a process counts a completion twice",
    steps: (f) => f.did(f.worker, "completed", "plain"),
  },
  {
    of: "I8",
    what: "a process does not count what it did",
    forge: ({ pods }) =>
      drop(
        pods,
        "worker2",
        ({ what, ...line }) => what === "did" && "kind" in line && line.kind === "failed",
      ),
  },
  {
    of: "I8",
    what: "a killed process counts more than it can have done",
    steps: (f) => {
      f.worker.fate = "killed"
      for (let i = 0; i < 30; i++) f.did(f.worker, "completed", "plain")
    },
  },
  {
    of: "I9",
    what: "there is a job that nobody asked for",
    steps: (f) => {
      f.dispatch("uninvited")
      f.complete(f.claim("uninvited"))
    },
    forge: ({ pods }) => drop(pods, "dispatcher1", (line) => "id" in line && line.id === "uninvited"),
  },
  {
    of: "I10",
    what: "a listener misses an event",
    forge: ({ pods }) => drop(pods, "listener4", (line) => line.what === "heard" && line.seq === 5),
  },
  {
    of: "I10",
    what: "a listener hears an event twice",
    forge: ({ pods }) => {
      const heard = observationsOf(pods, "listener4")
      const at = heard.findIndex((line) => line.what === "heard" && line.seq === 5)
      heard.splice(at, 0, heard[at]!)
    },
  },
  {
    of: "I10",
    what: "a listener hears events out of order",
    forge: ({ pods }) => {
      const heard = observationsOf(pods, "listener4")
      const at = heard.findIndex((line) => line.what === "heard" && line.seq === 5)
      heard.splice(at, 2, heard[at + 1]!, heard[at]!)
    },
  },
  {
    of: "I10",
    what: "a gap has another size",
    forge: ({ pods }) => {
      const heard = observationsOf(pods, "listener4")
      const at = heard.findIndex((line) => line.what === "heard" && line.seq === 5)
      heard.splice(at, 2, { what: "gap", task, lost: 3, at: 0, mono: 0 })
    },
  },
  {
    of: "I10",
    what: "a gap is reported where there is none",
    forge: ({ pods }) => {
      const heard = observationsOf(pods, "listener4")
      const at = heard.findIndex((line) => line.what === "heard" && line.seq === 5)
      heard.splice(at, 0, { what: "gap", task, lost: 1, at: 0, mono: 0 })
    },
  },
  {
    of: "I10",
    what: "a listener hears what nobody told",
    forge: ({ pods }) => {
      const heard = observationsOf(pods, "listener4").find((line) => line.what === "heard" && line.seq === 5)
      Object.assign(heard!, { name: "cancelled" })
    },
  },
  {
    of: "I10",
    what: "a listener falls silent",
    forge: ({ pods }) => drop(pods, "listener4", (line) => line.what === "heard" && line.seq > 7),
  },
  {
    of: "I10",
    what: "a listener misses what was told right after it was ready",
    forge: ({ pods }) => drop(pods, "listener4", (line) => line.what === "heard" && line.seq < 3),
  },
  {
    of: "I11",
    what: "work does not go on",
    forge: ({ recoveries }) => void recoveries.push({ fault: "a cut", ms: 60_000 }),
  },
  {
    of: "I11",
    what: "work never goes on",
    forge: ({ recoveries }) => void recoveries.push({ fault: "a cut", ms: Number.POSITIVE_INFINITY }),
  },
  {
    of: "I11",
    what: "an idle process sends commands",
    forge: (evidence) => {
      evidence.idle = { commandsPerSecond: 5, cpuShare: 0 }
    },
  },
  {
    of: "I11",
    what: "an idle process computes",
    forge: (evidence) => {
      evidence.idle = { commandsPerSecond: 0, cpuShare: 0.05 }
    },
  },
  {
    of: "I11",
    what: "a loop spins",
    steps: (f) => {
      for (let i = 0; i < 8; i++, f.pass(500)) f.note(f.other, { what: "pulse", cpu: i * 490_000 })
    },
  },
  {
    of: "I12",
    what: "close() takes longer than its timeout",
    forge: ({ pods }) => Object.assign(lastOf(pods, "worker2", "closed"), { ms: 4000 }),
  },
  {
    of: "I12",
    what: "close() leaves a socket",
    forge: ({ pods }) => Object.assign(lastOf(pods, "worker2", "left"), { resources: ["TCPSocketWrap"] }),
  },
  {
    of: "I12",
    what: "a process does not end",
    steps: (f) => {
      f.worker.exitCode = null
    },
  },
  {
    of: "I12",
    what: "close() never ends",
    forge: ({ pods }) => drop(pods, "worker2", ({ what }) => what === "closed"),
  },
  {
    of: "I12",
    what: "a connection is left",
    forge: (evidence) => {
      evidence.remains.clients = 1
    },
  },
  { of: "I12", what: "a key is left", forge: ({ remains }) => void remains.keys.push("control:abc:read") },
  {
    of: "I13",
    what: "a rejection is not handled",
    steps: (f) => f.note(f.worker, { what: "unhandled", message: "unhandledRejection: Error" }),
  },
  {
    of: "I14",
    what: "a waiter is told of another end",
    forge: ({ pods }) => {
      const answered = observationsOf(pods, "dispatcher1").find(({ what }) => what === "answered")
      Object.assign(answered!, { outcome: "JOB_FAILED" })
    },
  },
  {
    of: "I14",
    what: "a waiter gets another run's result",
    forge: ({ pods }) => {
      const answered = observationsOf(pods, "dispatcher1").find(({ what }) => what === "answered")
      Object.assign(answered!, { run: "worker9.9" })
    },
  },
  {
    of: "I14",
    what: "a waiter is told that its job is gone, which it is not",
    forge: ({ pods }) => {
      const answered = observationsOf(pods, "dispatcher1").find(({ what }) => what === "answered")
      Object.assign(answered!, { outcome: "JOB_GONE" })
    },
  },
  {
    of: "I14",
    what: "a waiter is never answered",
    forge: ({ pods }) => drop(pods, "dispatcher1", (line) => line.what === "answered" && line.id === "plain"),
  },
  {
    of: "I14",
    what: "a cancelled job completes",
    steps: (f) => {
      f.note(f.dispatcher, { what: "cancel", task, id: "plain", answer: "requested" })
    },
  },
]

function add(stats: Record<string, string>, name: string, n: number): void {
  stats[name] = String(Number(stats[name] ?? 0) + n)
}

function placesOf({ tasks }: Forged) {
  return tasks[0]!.state.places
}

function observationsOf(pods: Evidence["pods"], name: string): Observation[] {
  return pods.find((pod) => pod.name === name)!.observations as Observation[]
}

function lastOf<W extends Observation["what"]>(pods: Evidence["pods"], name: string, what: W): Of<W> {
  return observationsOf(pods, name).findLast((line): line is Of<W> => line.what === what)!
}

function drop(pods: Evidence["pods"], name: string, which: (line: Observation) => boolean): void {
  const all = observationsOf(pods, name)
  for (let i = all.length - 1; i >= 0; i--) if (which(all[i]!)) all.splice(i, 1)
}

describe("the checker", () => {
  it("finds nothing in a ledger where everything lawful happened", () => {
    expect(violations(lawful().evidence())).toEqual([])
  })

  it("finds nothing in an empty one", () => {
    expect(violations(new Forgery().evidence())).toEqual([])
  })

  it.each(lies.map((lie) => [lie.of, lie.what, lie] as const))(
    "names %s where %s",
    (of, _, { steps, forge }) => {
      const forgery = lawful()
      steps?.(forgery)
      const evidence = forgery.evidence()
      forge?.(evidence)
      const found = violations(evidence)
      expect(found.length).toBeGreaterThan(0)
      expect(found.filter(({ invariant }) => invariant !== of)).toEqual([])
    },
  )

  it("is lied to about each invariant", () => {
    expect([...new Set(lies.map(({ of }) => of))]).toEqual(invariants)
  })

  describe("told of a loss", () => {
    const from = 1_100_000
    function withLoss(): Forgery {
      const f = lawful()
      f.now = from
      return f
    }

    it("allows what was acknowledged within it to be gone", () => {
      const f = withLoss()
      f.dispatch("in the tail")
      f.jobs.delete("in the tail")
      const evidence = f.evidence()
      evidence.losses = [{ from, to: f.now }]
      expect(violations(evidence)).toEqual([])
    })

    it("names I1 where what was acknowledged before it is gone", () => {
      const f = withLoss()
      f.dispatch("before the tail")
      f.jobs.delete("before the tail")
      const evidence = f.evidence()
      evidence.losses = [{ from: from + 100_000, to: from + 200_000 }]
      expect(violations(evidence).map(({ invariant }) => invariant)).toEqual(["I1"])
    })

    it("names I10 where a reader went back and did not say so", () => {
      const f = lawful()
      const evidence = f.evidence()
      evidence.losses = [{ from: 0, to: f.now }]
      const heard = observationsOf(evidence.pods, "listener4")
      const at = heard.findIndex((line) => line.what === "heard" && line.seq === 5)
      const again = heard.slice(at - 2, at)
      heard.splice(at, 0, ...again)
      expect(violations(evidence).map(({ invariant }) => invariant)).toEqual(["I10"])
      heard.splice(at, 0, { what: "gap", task, lost: 0, at: 0, mono: 0 })
      expect(violations(evidence)).toEqual([])
    })
  })
})
