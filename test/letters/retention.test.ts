import { expect, it } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import { graveyards } from "./graveyard.ts"

onBothHosts("retention at full speed", (host) => {
  const graveyard = graveyards(host)
  const most = { completed: 100, failed: 50, cancelled: 50 }

  it("holds its limits within 1 % while jobs stream through: each settlement trims what it adds", async () => {
    const yard = graveyard({
      retention: { completed: { maxItems: most.completed }, failed: { maxItems: most.failed } },
    })
    const work = yard.task("work", { concurrency: 100 })
    await yard.app.start()
    const total = host.name === "redis" ? 6000 : 2500
    let ended = 0
    const samples: Record<keyof typeof most, number>[] = []
    const stream = (async () => {
      for (; ended < total; ended += 500) {
        const orders = Array.from({ length: 500 }, (_, i) => ({ data: i % 3 ? {} : { fail: "no" } }))
        await Promise.all(work.dispatchMany(orders).map(({ result }) => result.catch(() => undefined)))
        const gone = work.dispatchMany(
          Array.from({ length: 60 }, () => ({ data: {}, options: { delay: "1h" } })),
        )
        await Promise.all(gone.map((handle) => handle.cancel()))
      }
    })()
    while (ended < total) {
      const { completed, failed, cancelled } = await yard.app.inspect().stats()
      samples.push({ completed, failed, cancelled })
    }
    await stream
    expect(samples.length).toBeGreaterThan(20)
    for (const name of ["completed", "failed", "cancelled"] as const) {
      const found = samples.map((sample) => sample[name])
      expect(Math.max(...found), name).toBeLessThanOrEqual(most[name] * 1.01)
      // Once full, it stays full: no timer cleans up behind it.
      const full = found.slice(found.indexOf(most[name]))
      expect(Math.min(...full), name).toBeGreaterThanOrEqual(most[name] * 0.99)
    }
  }, 60_000)

  it("holds them while all that failed is retried over and over", async () => {
    const yard = graveyard({ retention: { failed: { maxItems: 50 } } })
    const work = yard.task("work", { concurrency: 50 })
    await yard.app.start()
    const orders = Array.from({ length: 80 }, () => ({ data: { fail: "no" } }))
    await Promise.all(work.dispatchMany(orders).map(({ result }) => result.catch(() => undefined)))
    for (let i = 0; i < 20; i++) {
      await yard.app.deadLetters.retryAll()
      const { failed, waiting, active } = await yard.app.inspect().stats()
      expect(failed + waiting + active).toBeLessThanOrEqual(50)
    }
  })
})
