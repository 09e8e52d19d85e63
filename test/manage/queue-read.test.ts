import { expect, test } from "vitest"
import { QueueRead } from "../../src/manage/queue-read.ts"
import { systemClock } from "../../src/model/clock.ts"
import type { Link } from "../../src/store/link.ts"
import type { CountReply } from "../../src/store/replies.ts"

/** A store that answers counts when told, and knows how many are asked at once. */
function slowLink() {
  const waiting: (() => void)[] = []
  const count: Partial<CountReply> = {
    counters: [],
    epoch: "e",
    waiting: 1,
    delayed: 0,
    active: 0,
    oldest: 0,
  }
  const run = ({ name }: { name: string }) => {
    if (name === "roster") return Promise.resolve({ at: 1, tasks: [], workers: [] })
    return new Promise((resolve) => waiting.push(() => resolve(count)))
  }
  const link = { clock: systemClock, connected: () => true, keys: (task: string) => ({ task }), run }
  return { link: link as unknown as Link, waiting }
}

test("asks for a hundred tasks at once, and one read serves all who ask meanwhile", async () => {
  const { link, waiting } = slowLink()
  const names = Array.from({ length: 250 }, (_, i) => `task-${i}`)
  const queue = new QueueRead({ link }, () => names)
  const reads = [queue.read(10_000), queue.read(10_000)]
  const batches: number[] = []
  while (batches.reduce((sum, size) => sum + size, 0) <= names.length) {
    await new Promise((resolve) => setImmediate(resolve))
    batches.push(waiting.length)
    for (const answer of waiting.splice(0)) answer()
  }
  // The workflows are counted beside the first of them.
  expect(batches).toEqual([101, 100, 50])
  const [first, second] = await Promise.all(reads)
  expect(first?.tasks.map(({ task }) => task)).toEqual(names)
  expect(second).toBe(first)
  // For a second, what was read is good enough.
  expect(await queue.read(10_000)).toBe(first)
})
