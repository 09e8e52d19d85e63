import { appendFileSync } from "node:fs"
import { createTaskora } from "../../src/index.ts"
import { taskEventNames } from "../../src/model/events.ts"
import { redisAdapter } from "../../src/redis.ts"
import type { ChildSettings, Line } from "./processes.ts"

// A worker that listens to everything, and writes down what it did and heard.
const settings = JSON.parse(process.argv[2]!) as ChildSettings
const note = (line: Line) => appendFileSync(settings.ledger, `${JSON.stringify(line)}\n`)

const app = createTaskora({
  adapter: redisAdapter({ nodes: settings.nodes }, { prefix: settings.prefix }),
  retention: { completed: { maxItems: 100_000 }, failed: { maxItems: 100_000 } },
  events: { maxLength: 100_000 },
})
app.on("worker:error", ({ name, message }) => note({ kind: "error", text: `${name}: ${message}` }))
for (const name of settings.tasks) {
  const task = app.task<number, number>(name, {
    concurrency: 4,
    stall: { interval: settings.leaseMs, maxCount: 3 },
    async handler(ms, ctx) {
      note({ kind: "run", task: name, id: ctx.id })
      await new Promise((resolve) => setTimeout(resolve, ms))
      return ms
    },
  })
  for (const event of taskEventNames)
    task.on(event, ({ id }, { seq }) => note({ kind: "heard", task: name, event, id, seq }))
}
process.once("SIGTERM", () => {
  void app.close({ timeout: 5_000 }).then(() => process.exit(0))
})
await app.start()
process.send?.("ready")
