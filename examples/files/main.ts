/**
 * The main job on real files: `npm start -- --help`. Read on in tasks.ts (what is done), scan.ts (a handler), dispatch.ts
 * (how jobs come about), live.ts (events), and reconcile.ts (whether the numbers on /metrics are true).
 */
import { stat } from "node:fs/promises"
import { resolve, sep } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { startApp } from "./app.ts"
import { dispatchAll } from "./dispatch.ts"
import { Findings } from "./findings.ts"
import { counted, seconds, styled } from "./format.ts"
import { FragileFolder } from "./fragile.ts"
import { Live } from "./live.ts"
import { OpenJobs } from "./open-jobs.ts"
import { complain, type Options, parseOptions, UsageError, usage } from "./options.ts"
import { inMemory, onRedis } from "./places.ts"
import { reconcile } from "./reconcile.ts"
import { listenForStop } from "./stop.ts"
import { showTrace } from "./waterfall.ts"

async function main(options: Options): Promise<void> {
  const root = resolve(options.directory)
  if (!(await isDirectory(root))) throw new UsageError(`${options.directory} is not a directory`)
  const stop = listenForStop()
  const place = options.redis === undefined ? inMemory() : await onRedis(options.redis, options.prefix)
  const app = await startApp({ ...options, adapter: place.adapter })
  const { taskora, tasks, tally, traces } = app
  const fragile = await FragileFolder.create()
  const shorten = (text: string) =>
    text
      .replaceAll(fragile.path, "(fragile)")
      .replaceAll(root + sep, "")
      .replaceAll(root, ".")
  const openJobs = new OpenJobs(taskora, tally, (error) => live.rejected(error))
  const findings = new Findings(tasks)
  const live: Live = new Live(tally, { openJobs, shorten })
  live.listen(taskora)
  try {
    await place.announce()
    heading("files", root)
    heading("queue", place.description)
    if (place.joinCommand) heading("join", place.joinCommand)
    heading("metrics", app.metricsUrl)
    heading("traces", traces.description)
    heading(
      "fragile",
      "a folder of 3 files that vanish, 1 that comes late, and 2 links that lead nowhere useful",
    )
    console.log()

    live.start()
    const { signal } = stop
    for (let round = 1; !signal.aborted; round++) {
      live.print(await dispatchAll({ root, options, tasks, openJobs, fragile, signal, round }))
      if (options.again === undefined) break
      await Promise.race([pause(options.again * 1000, undefined, { ref: false }), stop.stopped])
    }
    openJobs.seal()
    await Promise.race([openJobs.finished, stop.stopped])
    live.stop()
    if (signal.aborted) return interrupted(openJobs.size, place.joinCommand)

    console.log(`\nall ${counted(tally.dispatched, "job")} ended after ${seconds(live.elapsedMs)}\n`)
    console.log(`${findings.render(shorten)}\n`)
    if (findings.interesting) console.log(`${await showTrace(taskora, traces, findings.interesting)}\n`)
    console.log(
      "what this program counted of itself and heard of all processes, and what /metrics and the store say",
    )
    const { agrees, text } = await reconcile(taskora, tally, app.metricsUrl)
    console.log(text)
    process.exitCode = agrees ? 0 : 1
    if (options.exit) return
    console.log(`\nserving ${app.metricsUrl} until Ctrl-C (--exit ends by itself)`)
    await stop.stopped
    process.exitCode = agrees ? 0 : 1
  } finally {
    live.stop()
    await app.close()
    await place.leave()
    await fragile.remove()
  }
}

function heading(name: string, text: string): void {
  console.log(`${styled("bold", name.padEnd(8))} ${text}`)
}

function interrupted(open: number, joinCommand: string | undefined): void {
  const rest = joinCommand ? `a worker can go on with them: ${joinCommand}` : "they end with this process"
  console.log(`\nstopped; ${counted(open, "job")} had not ended${open > 0 ? `, ${rest}` : ""}`)
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  )
}

try {
  const options = parseOptions(process.argv.slice(2), process.env)
  if (options === "help") console.log(usage)
  else await main(options)
} catch (error) {
  complain(error, "npm start -- --help shows all options")
}
