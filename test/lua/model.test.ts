import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import { benchOf } from "./harness.ts"
import { Model } from "./model.ts"
import { commands } from "./model-commands.ts"
import { counters, Real, type Step } from "./model-run.ts"

/**
 * `npm run model -- --runs N --host embedded|redis --seed S` sets these. A failure prints the seed and the shortest
 * story, and keeps it in .tmp/model-stories; a story put into test/fixtures/model-stories is told again by each run.
 */
const environment = process.env
const onlyHost = environment.TASKORA_MODEL_HOST
const runsWanted = Number(environment.TASKORA_MODEL_RUNS ?? 0)
const seed = Number(environment.TASKORA_MODEL_SEED ?? Date.now() % 2 ** 31)
const runsByDefault = { embedded: 300, redis: 30 }
/** Runs that share one seed: a failing seed can be repeated without all that came before it. */
const runsASeed = 300

const root = join(import.meta.dirname, "../..")
const kept = join(root, "test/fixtures/model-stories")
const failed = join(root, ".tmp/model-stories")

/** A story that failed once. */
interface Story {
  readonly virtual: boolean
  readonly steps: readonly Step[]
}

const happenings = [
  ...counters,
  ..."sdtub".split("").map((word) => `enqueue ${word}`),
  ..."cfrxbpl".split("").map((word) => `settle ${word}`),
  ..."oxl".split("").map((word) => `renew ${word}`),
  ..."ol".split("").map((word) => `progress ${word}`),
  ...["waiting", "delayed", "active", ""].map((state) => `cancel ${state}`),
  "put aside",
  "taken from aside",
  ...["launch leased", "launch waits", "launch asked in time", "log logged", "log full", "log lost"],
  ..."rfu".split("").map((word) => `revive ${word}`),
  ..."dfu".split("").map((word) => `discard ${word}`),
  ...["expired at settle", "expired at upkeep"],
  ...["parked at enqueue", "parked at settle", "let go at settle"],
  ...["pause changed", "pause same", "settle while paused", "launch while paused"],
  ...[
    "enqueue",
    "launch",
    "settle",
    "renew",
    "progress",
    "log",
    "cancel",
    "upkeep",
    "revive",
    "discard",
    "clean",
    "pause",
  ].flatMap((script) => [`${script} again`, `${script} stale`]),
]

onBothHosts("any story of calls against the model", (host) => {
  const bench = benchOf(host)
  const virtual = host.name === "embedded"
  const seen = new Map<string, number>()
  const runs = runsWanted || runsByDefault[host.name]

  async function tell(from: number, numRuns: number): Promise<void> {
    let told: readonly Step[] = []
    const stories = fc.asyncProperty(
      fc.commands(commands({ virtual }), { maxCommands: 100, size: "+2" }),
      async (story) => {
        const real = new Real(bench, seen)
        try {
          await fc.asyncModelRun(() => ({ model: new Model(), real }), story)
        } catch (error) {
          told = real.steps
          throw error
        } finally {
          await real.task.forget()
        }
      },
    )
    try {
      await fc.assert(stories, { numRuns, seed: from })
    } catch (error) {
      mkdirSync(failed, { recursive: true })
      const story: Story = { virtual, steps: told }
      writeFileSync(join(failed, `${host.name}-${from}.json`), `${JSON.stringify(story, null, 2)}\n`)
      throw error
    }
  }

  const timeout = 60_000 + 500 * runs
  test.skipIf(onlyHost !== undefined && onlyHost !== host.name)(
    "the scripts do and answer what the model does",
    async () => {
      console.log(`${host.name}: ${runs} runs, TASKORA_MODEL_SEED=${seed}`)
      const seeds = Array.from({ length: Math.ceil(runs / runsASeed) }, (_, i) => i)
      let done = 0
      const worker = async () => {
        for (let i = seeds.shift(); i !== undefined; i = seeds.shift()) {
          const count = Math.min(runsASeed, runs - i * runsASeed)
          await tell(seed + i, count)
          done += count
          if (runsWanted > runsASeed) console.log(`${host.name}: ${done} runs done`)
        }
      }
      // A server's answers can be waited for side by side; virtual time is one for all.
      await Promise.all(Array.from({ length: virtual ? 1 : 8 }, worker))
    },
    timeout,
  )

  const stories = readdirSync(kept).filter((name) => name.endsWith(".json"))
  test.each(stories)("what failed once: %s", async (name) => {
    const { steps, ...story } = JSON.parse(readFileSync(join(kept, name), "utf8")) as Story
    // Where time must be turned by hand, a server's own will not do.
    if (story.virtual && !virtual) return
    const real = new Real(bench, seen)
    const model = new Model()
    for (const step of steps) await real.take(model, step)
  })

  test.runIf(virtual && runs >= 100)("the stories came across everything that can happen", () => {
    expect(happenings.filter((what) => !seen.has(what))).toEqual([])
  })
})

describe("the model", () => {
  test("knows a lane's last call and the ones before", () => {
    const model = new Model()
    const enqueue = (n: number) =>
      model.apply({ script: "enqueue", at: { lane: "e", n }, jobs: [{ id: `j${n}` }] }, 1000)
    expect([enqueue(1), enqueue(2), enqueue(2), enqueue(1)]).toEqual([
      { words: "s", notes: [] },
      { words: "s", notes: [] },
      { words: "s", notes: [] },
      "stale",
    ])
    expect(model.jobs.size).toBe(2)
  })
})
