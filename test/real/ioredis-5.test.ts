import { createRequire } from "node:module"
import { describe, expect, it, vi } from "vitest"

// All that follows is run on the older major release, which users may have.
vi.mock("ioredis", () => import("ioredis-5"))

describe("with ioredis 5", async () => {
  it("is that one", async () => {
    const { version } = createRequire(import.meta.url)("ioredis-5/package.json") as { version: string }
    expect(version).toMatch(/^5\./)
    const { Redis } = await import("ioredis")
    expect(Redis).toBe((await import("ioredis-5")).Redis)
  })

  await import("../store/redis/adapter.test.ts")
  await import("../store/redis/store.test.ts")
  await import("../store/redis/interrupt.test.ts")
  await import("../store/redis/close.test.ts")
  await import("../cluster/slot.test.ts")
})
