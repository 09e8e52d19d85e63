import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { redisAdapter } from "../../src/redis.ts"
import { taskKeyNames, taskKeys } from "../../src/store/keys.ts"
import { decodeRecord } from "../../src/store/record.ts"
import type { SettleReply, Stale } from "../../src/store/replies.ts"
import { slotOf } from "../../src/store/slots.ts"
import type { Store } from "../../src/store/store.ts"
import { type Call, callsOf } from "../lua/calls.ts"
import { type ClusterMember, type RedisCluster, startCluster } from "../support/redis-cluster.ts"
import { redisAvailable } from "../support/redis-server.ts"

const prefix = "refusing"

describe.skipIf(!redisAvailable())("a slot that is on its way", () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  it.each(["nothing has gone", "half has gone", "all has gone"])(
    "refuses each script, which changes nothing, while %s",
    async (stage) => {
      const keys = taskKeys(prefix, stage.replaceAll(" ", "-"))
      const slot = slotOf(keys.base)
      const { store, send } = await opened()
      const calls = callsOf(keys)
      let n = 1
      const at = () => ({ lane: "tester:w", n: n++ })

      // A task with something in each of its keys.
      const jobs = ["done", "failed", "held", "asked", "ranked", "early", "late"].map((id) => ({ id }))
      await send(calls.enqueue(at(), jobs.slice(0, 4)))
      const claim = (await send(calls.settle(at(), [], { want: 4 }))) as Exclude<SettleReply, Stale>
      const held = claim.claimed.map(({ id, record }) => ({ id, token: decodeRecord(record)!.token }))
      const [done, failed, kept, asked] = held as [Held, Held, Held, Held]
      await send(
        calls.settle(at(), [
          { ...done, kind: "completed" },
          { ...failed, kind: "failed" },
        ]),
      )
      await send(
        calls.enqueue(at(), [
          { id: "plain" },
          { id: "ranked", priority: 5 },
          { id: "lower", priority: 1 },
          { id: "late", delay: 1e6 },
          { id: "later", delay: 2e6 },
        ]),
      )
      await send(calls.cancel(at(), "late"))
      await send(calls.cancel(at(), asked.id))
      const home = await cluster.owner(slot)
      expect(await missingOf(home, keys)).toEqual([])

      const to = cluster.masters.find(({ id }) => id !== home.id)!
      await to.raw.call("CLUSTER", "SETSLOT", slot, "IMPORTING", home.id)
      await home.raw.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
      const all = ((await home.raw.call("CLUSTER", "GETKEYSINSLOT", slot, 1000)) as string[]).sort()
      const go = all.slice(0, { "nothing has gone": 0, "half has gone": all.length / 2 }[stage] ?? all.length)
      if (go.length > 0)
        await home.raw.call("MIGRATE", "127.0.0.1", to.server.port, "", 0, 5_000, "KEYS", ...go)

      const long = JSON.stringify("x".repeat(5_000))
      const writing: Record<string, () => Call> = {
        enqueue: () => calls.enqueue(at(), [{ id: "new" }]),
        "enqueue, delayed": () => calls.enqueue(at(), [{ id: "new", delay: 5, named: true }]),
        launch: () => calls.launch(at(), { id: "new", data: long }),
        "settle with a long result": () =>
          calls.settle(at(), [{ ...kept, kind: "completed", body: long }], { want: 3 }),
        "settle with progress": () => calls.settle(at(), [{ ...kept, kind: "progress" }]),
        "settle of nothing": () => calls.settle(at(), [], { want: 10 }),
        renew: () => calls.renew(at(), [kept]),
        progress: () => calls.progress(at(), [kept]),
        log: () => calls.log(at(), kept, ['"line"']),
        cancel: () => calls.cancel(at(), "plain"),
        upkeep: () => calls.upkeep(at()),
      }
      const before = await dump(slot, [home, to])
      expect(before.length).toBeGreaterThan(taskKeyNames.length)
      for (const [name, call] of Object.entries(writing)) {
        const outcome = await send(call()).catch((error: unknown) => error)
        expect(outcome, name).toMatchObject({ name: "StoreError", fate: "unavailable" })
        expect(await dump(slot, [home, to]), name).toEqual(before)
      }

      // And when it has arrived, the same calls work.
      await cluster.move(slot, to)
      for (const call of Object.values(writing)) await send(call())
      await store.close()
    },
  )

  async function opened() {
    const store = redisAdapter({ nodes: cluster.nodes }, { prefix }).open("tester", {
      lost() {},
      back() {},
      message() {},
    })
    onTestFinished(() => store.close())
    await store.connect()
    return { store, send: <T>(call: Call<T>) => sendTo(store, call) }
  }
})

interface Held {
  readonly id: string
  readonly token: string
}

async function sendTo<T>(store: Store, { script, keys, args }: Call<T>): Promise<T> {
  return script.reply(await store.run(script.source, keys, args))
}

async function missingOf({ raw }: ClusterMember, keys: ReturnType<typeof taskKeys>): Promise<string[]> {
  const there = await Promise.all(taskKeyNames.map((name) => raw.exists(keys[name])))
  return taskKeyNames.filter((_, i) => there[i] === 0)
}

/** Everything that lies in the slot, on all of these nodes. */
async function dump(slot: number, members: readonly ClusterMember[]): Promise<string[]> {
  const parts = await Promise.all(
    members.map(async ({ raw, server }) => {
      const keys = ((await raw.call("CLUSTER", "GETKEYSINSLOT", slot, 1000)) as string[]).sort()
      return Promise.all(
        keys.map(async (key) => {
          const [, value] = await Promise.all([raw.call("ASKING"), raw.callBuffer("DUMP", key)])
          return `${server.port} ${key} ${(value as Buffer | null)?.toString("base64")}`
        }),
      )
    }),
  )
  return parts.flat()
}
