import type { ChildProcess } from "node:child_process"
import { join } from "node:path"
import { Redis } from "ioredis"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { taskKeys } from "../../src/store/keys.ts"
import { decodeRecord } from "../../src/store/record.ts"
import { onRedis, until } from "../support/hosts.ts"
import { buildProgram, exited, type Program } from "../support/program.ts"

/** In full: `TASKORA_FLEET_SECONDS=120 npx vitest run test/schedules/fleet.test.ts`, on a machine with nothing else to do. */
const seconds = Number(process.env.TASKORA_FLEET_SECONDS ?? 8)
const isFull = seconds >= 120
/** A busy machine stops processes for longer than the engine needs; the promise itself is held where there is time for it. */
const lateMost = isFull ? 100 : 2000
const processes = 5

interface Fired {
  readonly slot: number
  readonly late: number
}

onRedis("processes that are killed and started at random", (host) => {
  let program: Program
  const running = new Set<ChildProcess>()
  const said: string[] = []
  beforeAll(async () => {
    program = await buildProgram(join(import.meta.dirname, "pod.ts"))
  }, 60_000)
  afterAll(() => program.remove())
  afterEach(async () => {
    await Promise.all([...running].map((pod) => kill(pod)))
  })

  async function kill(pod: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    running.delete(pod)
    pod.kill(signal)
    await exited(pod)
  }

  async function start(prefix: string): Promise<ChildProcess> {
    const pod = program.start({ url: host.url(), prefix })
    let ready = false
    pod.on("message", (text) => {
      if (text === "ready") ready = true
      else said.push(String(text))
    })
    await until(() => ready, "a process is ready", 30_000)
    running.add(pod)
    return pod
  }

  test(
    "fire each slot exactly once (catch-up) or at most once (skip), in time while a process lives",
    async () => {
      const { prefix } = host.adapter()
      await Promise.all(Array.from({ length: processes }, () => start(prefix)))
      const began = Date.now()
      const births: Promise<unknown>[] = []
      let kills = 0
      while (Date.now() - began < seconds * 1000) {
        await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 700))
        // Some process always lives; how often others come depends on the machine.
        if (running.size < 3) continue
        const victim = [...running][Math.floor(Math.random() * running.size)]!
        kills++
        births.push(kill(victim, Math.random() < 0.8 ? "SIGKILL" : "SIGTERM").then(() => start(prefix)))
      }
      await Promise.all(births)
      await new Promise((resolve) => setTimeout(resolve, 500))
      await Promise.all([...running].map((pod) => kill(pod, "SIGTERM")))

      const fired = await readFired(prefix)
      expect(kills).toBeGreaterThan(isFull ? 50 : 1)
      for (const name of ["every", "cron"]) checkOnce(name, fired.get(name)!, 1000)
      for (const name of ["every-skip", "cron-skip"]) {
        const slots = fired.get(name)!.map(({ slot }) => slot)
        expect(new Set(slots).size, name).toBe(slots.length)
        expect(slots.length, name).toBeGreaterThan(seconds * 0.8)
      }
      const late = [...fired.values()]
        .flat()
        .map((one) => one.late)
        .sort((a, b) => a - b)
      const at = (share: number) => late[Math.floor(share * (late.length - 1))]
      if (isFull)
        console.log(
          `${late.length} firings, ${kills} kills; late ms: p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)}`,
        )
      expect(late[0]).toBeGreaterThanOrEqual(0)
      expect(at(1)).toBeLessThanOrEqual(lateMost)
      // What is lost with a connection is said; nothing else went wrong.
      expect(said.filter((text) => !text.startsWith("ConnectionError"))).toEqual([])
    },
    seconds * 1000 + 120_000,
  )

  /** Each slot from the first to the last, once. */
  function checkOnce(name: string, all: readonly Fired[], everyMs: number): void {
    const slots = all.map(({ slot }) => slot)
    const expected = Array.from({ length: slots.length }, (_, i) => slots[0]! + i * everyMs)
    expect(slots, name).toEqual(expected)
    expect(slots.length, name).toBeGreaterThanOrEqual(seconds)
  }

  async function readFired(prefix: string): Promise<Map<string, Fired[]>> {
    const redis = new Redis(host.url()!)
    try {
      const keys = taskKeys(prefix, "t")
      const ids = (await redis.lrange(keys.waiting, 0, -1)).map((place) => place.split("\t")[0]!)
      const fired = new Map<string, Fired[]>()
      for (const id of ids) {
        const { created } = decodeRecord((await redis.get(`${keys.base}job:${id}`))!)!
        const [name, time] = id.split("@") as [string, string]
        const slot = Date.parse(time)
        fired.set(name, [...(fired.get(name) ?? []), { slot, late: created - slot }])
      }
      for (const all of fired.values()) all.sort((a, b) => a.slot - b.slot)
      // The script's own count: no id was stored a second time after its job had gone.
      expect(Number(await redis.hget(keys.stats, "dispatched"))).toBe(ids.length)
      return fired
    } finally {
      redis.disconnect()
    }
  }
})
