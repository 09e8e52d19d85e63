import { expect, test } from "vitest"
import type { Delivery } from "../../src/events/delivery.ts"
import { JobFollower } from "../../src/events/follower.ts"
import type { EventHub } from "../../src/events/hub.ts"
import { systemClock } from "../../src/model/clock.ts"
import { json } from "../../src/rules/serializer.ts"
import type { Core } from "../../src/store/core.ts"

/** A waiter that asks about a job which waits for another life, as of transition 10. */
function waiter() {
  const record = "w,3,,,,,v,\n\n1000,2000,,,,,2000,,\n1:1000:1500:d:\n\n1"
  const link = {
    clock: systemClock,
    keys: () => ({ base: "b:" }),
    run: async () => ({ at: 2000, record, result: "", progress: "", seq: 10, logs: [] }),
  }
  const core = { link, report: () => undefined } as unknown as Core
  const hub = { follow: async () => undefined, unfollow: () => undefined } as unknown as EventHub
  const follower = new JobFollower(
    { task: "t", id: "j", stored: async () => ({ id: "j", at: 1000 }) },
    { core, hub, codec: json() as never },
  )
  return { follower, result: follower.result() }
}

const news = (name: "failed" | "completed", seq: number): Delivery => ({
  name,
  payload: { id: "j", error: "old", attempt: 1, willRetry: false, result: "new", duration: 1 } as never,
  meta: { timestamp: 1500, seq, instance: "x" },
})

/** The reader may be behind: what it brings was told before the record was read. */
test.each(["early", "late"])(
  "the end of a life before is no end, if a reader that is behind brings it %s",
  async (when) => {
    const { follower, result } = waiter()
    if (when === "late") await new Promise(setImmediate)
    follower.hear(news("failed", 9))
    await new Promise(setImmediate)
    follower.hear(news("completed", 12))
    expect(await result).toBe("new")
  },
)

test("the end of this life is one, though it came before the record was read", async () => {
  const { follower, result } = waiter()
  follower.hear(news("completed", 11))
  expect(await result).toBe("new")
})
