import { createTaskora } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"

// A process that declares schedules and fires them; others work on their jobs.
const { url, prefix } = JSON.parse(process.argv[2]!) as { url: string; prefix: string }
const app = createTaskora({ adapter: redisAdapter(url, { prefix }) })
app.on("worker:error", ({ name, message }) => process.send?.(`${name}: ${message}`))
app.task("t")
const second = "* * * * * *"
app.schedule("every", { task: "t", every: "1s", onMissed: "catch-up" })
app.schedule("every-skip", { task: "t", every: "1s" })
app.schedule("cron", { task: "t", cron: second, timezone: "Europe/Berlin", onMissed: "catch-up" })
app.schedule("cron-skip", { task: "t", cron: second })
process.once("SIGTERM", () => void app.close({ timeout: 2000 }))
await app.start()
process.send?.("ready")
