import { writeFileSync } from "node:fs"
import { startRedis } from "../test/support/redis-server.ts"
import { describeMachine, loadNow } from "./harness/machine.ts"
import { Meter } from "./harness/meter.ts"
import { type RowReport, reportRow, rowText, summaryTable } from "./harness/report.ts"
import { measureApart } from "./harness/spawn.ts"
import { type Options, parseOptions, usage } from "./options.ts"
import type { Row, Sample } from "./row.ts"
import { rows } from "./rows.ts"

const terms =
  "Both sides: one Redis without persistence, the 100 newest completed jobs kept where the row does not say otherwise, " +
  "handlers that do nothing, every job counted. Medians, and half of the range as a share of the median."

async function main(options: Options): Promise<void> {
  const chosen = chooseRows(options)
  if (options.list) return print(chosen.map(({ name, title }) => `${name.padEnd(20)} ${title}`).join("\n"))
  const machine = describeMachine()
  print(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, load ${machine.load}`,
  )
  print(
    Object.entries(machine.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
  )
  print(`${terms}\n`)
  const server = await startRedis()
  const meter = await Meter.open(server.url)
  const reports: RowReport[] = []
  try {
    for (const row of chosen) {
      const report = await runRow(row, { options, url: server.url, clear: () => meter.client.flushall() })
      reports.push(report)
      print(`${rowText(row, report)}\n`)
    }
  } finally {
    await meter.close()
    await server.stop()
  }
  print(summaryTable(reports))
  // The bench itself keeps two busy: a contestant and the server.
  const preliminary = machine.load > 1 || reports.some(({ load }) => load > machine.cores + 0.5)
  if (preliminary) print("\nPreliminary: others were at work on this machine meanwhile.")
  if (options.json !== undefined)
    writeFileSync(
      options.json,
      `${JSON.stringify({ machine, options, preliminary, rows: reports }, undefined, 2)}\n`,
    )
}

function chooseRows({ only }: Options): readonly Row[] {
  for (const name of only)
    if (!rows.some((row) => row.name.startsWith(name)))
      throw new Error(`--only ${name}: the rows are ${rows.map((row) => row.name).join(", ")}`)
  if (only.length === 0) return rows
  const exact = new Set(rows.map(({ name }) => name))
  return rows.filter((row) =>
    only.some((name) => (exact.has(name) ? row.name === name : row.name.startsWith(name))),
  )
}

/** All rounds of a row; whoever began one round comes last in the next. */
async function runRow(
  row: Row,
  { options, url, clear }: { options: Options; url: string; clear: () => Promise<unknown> },
): Promise<RowReport> {
  const load = loadNow()
  const order = row.entries
    .map((entry, index) => ({ entry, index }))
    .filter(({ entry }) => !options.alone || entry.contestant !== "bullmq")
  const samples = new Map<string, Sample[]>(order.map(({ entry }) => [entry.label, []]))
  const rounds = Math.min(options.rounds, row.rounds ?? options.rounds)
  for (let round = 0; round < rounds; round++) {
    for (const { entry, index } of order) {
      await clear()
      const sample = await measureApart({ row: row.name, entry: index, url, quick: options.quick })
      samples.get(entry.label)!.push(sample)
    }
    order.push(order.shift()!)
  }
  await clear()
  return reportRow(row, samples, load)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

try {
  await main(parseOptions(process.argv.slice(2)))
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
  process.exitCode = 1
}
