import { setTimeout as sleep } from "node:timers/promises"
import { both, type Row, type Sample, type Stage, versus } from "../row.ts"

/** What 500 tasks in one process cost while nothing happens. */
async function measure(stage: Stage): Promise<Sample> {
  const tasks = stage.size(500)
  const session = await stage.open()
  for (let i = 0; i < tasks; i++) session.declare(`task-${i}`, { concurrency: 1, handle: async () => {} })
  await session.start()
  await sleep(stage.quick ? 200 : 3_000)
  const seconds = stage.quick ? 1 : 6
  const before = await stage.meter.spent()
  const cpu = process.cpuUsage()
  await sleep(seconds * 1000)
  const { user, system } = process.cpuUsage(cpu)
  const after = await stage.meter.spent()
  return {
    connections: await stage.meter.connections(),
    commands: (after.commands - before.commands) / seconds,
    client: (user + system) / seconds / 1e4,
    redis: (after.cpuUs - before.cpuUs) / seconds / 1e4,
    memory: process.memoryUsage.rss() / 2 ** 20,
  }
}

export const manyTasks: Row = {
  name: "tasks-500",
  title: "500 tasks in one process, idle",
  entries: both,
  rounds: 2,
  measures: [
    { name: "connections", unit: "connections", better: "less" },
    { name: "commands", unit: "Redis commands/s", better: "less" },
    { name: "client", unit: "% of a core, Node", better: "less" },
    { name: "redis", unit: "% of a core, Redis", better: "less" },
    { name: "memory", unit: "MiB of Node", better: "less" },
  ],
  compare: [versus("connections"), versus("commands"), versus("client")],
  measure,
}
