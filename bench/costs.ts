import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type RedisServer, startRedis } from "../test/support/redis-server.ts"
import { type Cost, commandCosts, scriptCosts } from "./harness/command-stats.ts"
import { loadNow } from "./harness/machine.ts"
import { Meter } from "./harness/meter.ts"
import { hotSpots } from "./harness/profile.ts"
import { shown } from "./harness/report.ts"
import { measureApart, type Order } from "./harness/spawn.ts"
import { parseOptions } from "./options.ts"
import { rows } from "./rows.ts"

const usual = ["enqueue-1", "enqueue-1000", "process-1", "process-10", "process-100"]
const mostCommands = 16
const mostSpots = 30

/** Where Taskora's time goes: three runs of each row, since each way of looking slows what the others see. */
async function costsOf(
  row: string,
  { server, meter, quick }: { server: RedisServer; meter: Meter; quick: boolean },
) {
  // The first entry of each row is Taskora's.
  const order: Order = { row, entry: 0, url: server.url, quick }
  const run = async (profile?: string) => {
    const sample = await measureApart({ ...order, ...(profile === undefined ? {} : { profile }) })
    return Object.entries(sample).map(([name, value]) => `${name} ${shown(value)}`)
  }
  print(`\n${row}  (load ${loadNow()})`)

  await meter.client.flushall()
  await meter.client.config("RESETSTAT")
  print(`  ${(await run()).join(", ")}`)
  const commands = await commandCosts(meter)
  const evalsha = commands.find(({ name }) => name === "evalsha")
  const inner = commands.filter(({ name }) => name !== "evalsha").reduce((sum, { us }) => sum + us, 0)
  printCosts("command", commands.slice(0, mostCommands))
  if (evalsha) print(`    Lua itself: ${shown(((evalsha.us - inner) / evalsha.us) * 100)} % of evalsha`)

  await meter.client.flushall()
  await meter.watchScripts()
  await run()
  printCosts("script", await scriptCosts(meter))
  await meter.unwatchScripts()

  await meter.client.flushall()
  const folder = mkdtempSync(join(tmpdir(), "taskora-bench-"))
  try {
    const file = join(folder, `${row}.cpuprofile`)
    await run(file)
    for (const { where, share } of hotSpots(file, mostSpots))
      print(`    ${(share * 100).toFixed(1).padStart(5)} %  ${where}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function printCosts(kind: string, costs: readonly Cost[]): void {
  print(`    ${kind.padEnd(12)} ${"calls".padStart(9)} ${"total ms".padStart(9)} ${"us each".padStart(9)}`)
  for (const { name, calls, us, p50, p99 } of costs) {
    const tail = p50 === undefined ? "" : `   p50 ${shown(p50)} us, p99 ${shown(p99!)} us`
    print(
      `    ${name.padEnd(12)} ${String(calls).padStart(9)} ${shown(us / 1000).padStart(9)} ${shown(us / calls).padStart(9)}${tail}`,
    )
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

const { only, quick } = parseOptions(process.argv.slice(2))
for (const name of only)
  if (!rows.some((row) => row.name === name)) throw new Error(`there is no row ${name}`)
const server = await startRedis()
const meter = await Meter.open(server.url)
try {
  for (const row of only.length > 0 ? only : usual) await costsOf(row, { server, meter, quick })
} finally {
  await meter.close()
  await server.stop()
}
