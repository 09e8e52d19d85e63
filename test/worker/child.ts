import { createTaskora } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import { Ledger } from "./ledger.ts"
import type { ChildReport, ChildSettings } from "./processes.ts"
import { perform, type Work } from "./work.ts"

// A worker as users write one: nothing of it catches what it must not throw, so an unhandled rejection ends the process.
const settings = JSON.parse(process.argv[2]!) as ChildSettings
const ledger = new Ledger(settings.ledger)
const say = (report: ChildReport) => process.send?.(report)

const app = createTaskora({
  adapter: redisAdapter(settings.url, { prefix: settings.prefix }),
  observers: [
    {
      name: "child",
      transition: ({ kind }) => {
        if (kind === "lost" || kind === "released") say({ event: kind })
      },
    },
  ],
  retention: { completed: { maxItems: 100_000 }, failed: { maxItems: 100_000 } },
})
app.on("worker:error", ({ name, message }) => say({ event: "error", text: `${name}: ${message}` }))
app.task<Work, string>("work", {
  handler: (work, ctx) => perform(work, ctx, ledger),
  concurrency: settings.concurrency,
  timeout: settings.timeoutMs ?? "1m",
  stall: { interval: settings.leaseMs, maxCount: settings.maxStalls ?? 1 },
})

process.once("SIGTERM", () => {
  void app.close({ timeout: settings.closeMs ?? 5000 }).then(() => say({ event: "closed" }))
})
await app.start()
say({ event: "ready" })
