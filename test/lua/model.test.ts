import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import { benchOf } from "./harness.ts"
import { Model } from "./model.ts"
import { commands } from "./model-commands.ts"
import { counters, Real } from "./model-run.ts"

/** TASKORA_MODEL_RUNS: how many runs; TASKORA_MODEL_SEED: which. A failure prints the seed and the shortest story. */
const embeddedRuns = Number(process.env.TASKORA_MODEL_RUNS ?? 300)
const seed = Number(process.env.TASKORA_MODEL_SEED ?? Date.now() % 2 ** 31)

const happenings = [
  ...counters,
  ..."sd".split("").map((word) => `enqueue ${word}`),
  ..."cfrxbpl".split("").map((word) => `settle ${word}`),
  ..."oxl".split("").map((word) => `renew ${word}`),
  ..."ol".split("").map((word) => `progress ${word}`),
  ...["waiting", "delayed", "active", ""].map((state) => `cancel ${state}`),
  ...["launch leased", "launch waits"],
  ...["enqueue", "launch", "settle", "renew", "progress", "cancel", "upkeep"].flatMap((script) => [
    `${script} again`,
    `${script} stale`,
  ]),
]

onBothHosts("any story of calls against the model", (host) => {
  const bench = benchOf(host)
  const virtual = host.name === "embedded"
  const seen = new Map<string, number>()
  const runs = virtual ? embeddedRuns : Math.ceil(embeddedRuns / 10)

  test("the scripts do and answer what the model does", async () => {
    console.log(`${host.name}: ${runs} runs, TASKORA_MODEL_SEED=${seed}`)
    await fc.assert(
      fc.asyncProperty(
        fc.commands(commands({ virtual }), { maxCommands: 100, size: "+2" }),
        async (story) => {
          const real = new Real(bench, seen)
          await fc.asyncModelRun(() => ({ model: new Model(), real }), story)
          await real.task.forget()
        },
      ),
      { numRuns: runs, seed, interruptAfterTimeLimit: 600_000, markInterruptAsFailure: true },
    )
  }, 700_000)

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
      { words: "s" },
      { words: "s" },
      { words: "s" },
      "stale",
    ])
    expect(model.jobs.size).toBe(2)
  })
})
