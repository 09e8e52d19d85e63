import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { MemoryAdapter } from "../../../src/store/embedded/adapter.ts"
import { scripts } from "../../../src/store/scripts.ts"
import { redisReader } from "../../lua/harness.ts"
import type { Reader } from "../../lua/task-state.ts"
import { onBothHosts } from "../../support/hosts.ts"
import { deeds } from "./deeds.ts"
import { ways } from "./mischief.ts"
import { Trial } from "./trial.ts"

/** `npm run faults:calls` makes 50 trials of each call in each way; here a few. */
const trials = Number(process.env.TASKORA_CALL_TRIALS ?? 2)
const atOnce = 10

onBothHosts("each script in turn", (host) => {
  const landed = new Map<string, number>()
  let redis: Redis | undefined

  beforeAll(() => {
    const url = host.url()
    if (url !== undefined) redis = new Redis(url, { protocol: 2 })
  })
  afterAll(() => {
    redis?.disconnect()
    if (trials > 2)
      console.log([...landed].map(([what, count]) => `${host.name}: ${what}: ${count} landed`).join("\n"))
  })

  async function one(
    deed: (typeof deeds)[number],
    way: (typeof ways)[number],
    turn: number,
  ): Promise<string[]> {
    const adapter = host.adapter()
    const reader: Reader = redis
      ? redisReader(redis)
      : {
          run: async (commands) => commands.map((adapter as MemoryAdapter).command),
          close: async () => {},
        }
    try {
      const wrong = await new Trial(adapter, reader, deed).run(way, turn % 2 === 1)
      return wrong.map((what) => `trial ${turn}: ${what}`)
    } catch (error) {
      return [`trial ${turn}: ${(error as Error).stack}`]
    }
  }

  describe.each(deeds.map((deed) => [deed.title, deed] as const))("%s", (_title, deed) => {
    test.each(ways)(
      "%s",
      async (way) => {
        const wrong: string[] = []
        for (let from = 0; from < trials; from += atOnce) {
          const turns = Array.from({ length: Math.min(atOnce, trials - from) }, (_, i) => from + i)
          wrong.push(...(await Promise.all(turns.map((turn) => one(deed, way, turn)))).flat())
        }
        expect(wrong, wrong.join("\n")).toEqual([])
        landed.set(`${deed.title}: ${way}`, trials)
      },
      30_000 + trials * 2000,
    )
  })
})

test("every script by which jobs are written is struck", () => {
  const writing = ["enqueue", "launch", "settle", "renew", "progress", "log", "cancel", "upkeep"] as const
  const struck = new Set(deeds.map(({ script }) => script))
  expect(writing.filter((name) => !struck.has(name) || !scripts[name])).toEqual([])
})
