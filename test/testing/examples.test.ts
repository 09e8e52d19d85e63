import { expect, test } from "vitest"
import { FragileFolder } from "../../examples/files/fragile.ts"
import { declareTasks } from "../../examples/files/tasks.ts"
import { createTaskora } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { createTestRunner } from "../../src/testing/index.ts"

const day = 86_400_000

test("the example program's tasks run unchanged in virtual time: 30 days of retries, delays and expiries", async () => {
  const app = createTaskora({
    // Nobody listens there: whatever would reach for it fails.
    adapter: redisAdapter("redis://127.0.0.1:1"),
    retention: {
      completed: { maxAge: "60d", maxItems: 10_000 },
      failed: { maxAge: "60d", maxItems: 10_000 },
    },
  })
  const { scan, summarize } = declareTasks(app)
  const folder = await FragileFolder.create()
  const runner = createTestRunner({ from: app })
  const maxBytes = 1_000_000
  try {
    const began = performance.now()
    const readable = folder.vanishing.map((path) => path)
    const files: string[] = []
    for (let i = 0; i < 30; i++) {
      // One file a day is read, one never arrives, and for one that never arrives nobody waits for long.
      const read = scan.dispatch({ path: readable[i % 3]!, maxBytes }, { delay: i * day })
      scan.dispatch({ path: `${folder.late}-${i}`, maxBytes, expected: true }, { delay: i * day + 1000 })
      const late = { path: `${folder.late}-${i}`, maxBytes, expected: true }
      scan.dispatch(late, { delay: i * day + 5000, ttl: i * day + 5500 })
      files.push(read.id)
    }
    const summary = summarize.dispatch({ path: folder.path, files }, { delay: 29 * day - 10_000 })
    const dangling = scan.dispatch({ path: folder.dangling, maxBytes }, { delay: 15 * day })
    await runner.advanceTime("30d")
    const took = performance.now() - began
    console.log(
      `30 days in ${Math.round(took)} ms: ${runner.events.length} events, ${runner.spans.length} spans`,
    )

    const { metrics } = runner
    const counted = (name: string, attributes: object = {}) =>
      metrics.value(name, { task: "scan-file", ...attributes })
    expect(counted("taskora.jobs.completed")).toBe(30)
    // Three retries each, then it is given up, or two, and it expires; a link that points nowhere is not retried.
    expect(counted("taskora.jobs.retried")).toBe(150)
    expect(counted("taskora.jobs.failed", { cause: "error" })).toBe(31)
    expect(counted("taskora.attempts.failed", { "error.type": "NotThereYetError" })).toBe(180)
    expect(counted("taskora.jobs.expired")).toBe(30)
    expect(await summary.result).toMatchObject({ files: 30, unread: 0 })
    await expect(dangling.result).rejects.toThrow(/points to nothing/)
    expect(runner.events.filter(({ name }) => name === "task:expired")).toHaveLength(30)
    expect(await runner.jobs({ task: "scan-file", state: "expired" })).toHaveLength(30)
    // Its retries wait for the last file, second by second.
    expect(metrics.value("taskora.jobs.retried", { task: "summarize-directory" })).toBeGreaterThan(5)
  } finally {
    await runner.dispose()
    await folder.remove()
  }
}, 60_000)
