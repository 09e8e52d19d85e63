import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { root } from "../support/repository.ts"

/** `.ci/run` puts it there, where Debian's backports have it. */
const fetched = join(root, ".tmp/valkey/usr/bin/valkey-server")
const candidates = [process.env.TASKORA_TEST_VALKEY, "valkey-server", fetched]
const found = candidates.find((path) => path && spawnSync(path, ["--version"]).status === 0)

describe.skipIf(found === undefined)("on Valkey", async () => {
  if (found === undefined) return
  process.env.TASKORA_TEST_REDIS_SERVER = found

  it("is that server", async () => {
    const { startRedis } = await import("../support/redis-server.ts")
    const { openStore } = await import("../store/redis/support.ts")
    const server = await startRedis()
    try {
      const { store } = openStore(server.url)
      await store.connect({ use: "work", tasks: ["a"] })
      expect(store.describe()).toMatchObject({
        product: "valkey",
        version: expect.stringMatching(/^\d+\.\d+/),
      })
      await store.close()
    } finally {
      await server.stop()
    }
  })

  await import("../store/redis/store.test.ts")
  await import("../store/redis/interrupt.test.ts")
  await import("../store/redis/connect.test.ts")
  await import("../store/redis/states.test.ts")
  await import("../cluster/refusal.test.ts")
  await import("../cluster/slot.test.ts")
})
