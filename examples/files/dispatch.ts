import { createHash } from "node:crypto"
import { join } from "node:path"
import { bytes, counted } from "./format.ts"
import type { FragileFolder } from "./fragile.ts"
import type { OpenJobs } from "./open-jobs.ts"
import type { Tasks } from "./tasks.ts"
import { type Directory, type FoundFile, Walk, type WalkLimits } from "./walk.ts"

const summaryDelay = "1500ms"
/** Percent of the slow scan after which it is cancelled. */
const enough = 10

export interface Plan {
  readonly root: string
  readonly options: WalkLimits
  readonly tasks: Tasks
  readonly openJobs: OpenJobs
  readonly fragile: FragileFolder
  readonly signal: AbortSignal
  /** Counts the walks. */
  readonly round: number
}

/** Dispatches a job per file, one per directory, and one that will be cancelled. @returns what was found, in a sentence */
export async function dispatchAll(plan: Plan): Promise<string> {
  await dispatchFragile(plan)
  const walk = new Walk(plan.options)
  let directories = 0
  let biggest: FoundFile | undefined
  for await (const directory of walk.from(plan.root)) {
    if (plan.signal.aborted) break
    directories++
    await dispatchDirectory(plan, directory)
    for (const file of directory.files) if (file.size > (biggest?.size ?? 0)) biggest = file
  }
  if (biggest && !plan.signal.aborted) await dispatchSlow(plan, biggest)
  const files = `${counted(walk.files, "file")} in ${counted(directories, "directory", "directories")}`
  const stopped = walk.stoppedAt ? `; the walk ended at ${walk.stoppedAt}` : ""
  return `found ${files}, ${bytes(walk.bytes)} to read${stopped}`
}

async function dispatchDirectory({ options, tasks, openJobs, round }: Plan, { path, files }: Directory) {
  const { maxFileBytes: maxBytes } = options
  const jobs = files.map((file) => tasks.scan.dispatch({ path: file.path, maxBytes }))
  // Awaiting them keeps the walk from running far ahead of the store.
  await Promise.all(jobs.map((job) => openJobs.add("scan-file", job)))
  // A job named after its directory exists once in a walk, however often it is dispatched.
  const jobId = createHash("sha256").update(`${round} ${path}`).digest("hex").slice(0, 16)
  const data = { path, files: jobs.map(({ id }) => id) }
  const summary = tasks.summarize.dispatch(data, { delay: summaryDelay, jobId })
  await openJobs.add("summarize-directory", summary)
}

/** These go first, so that there is something to see early. */
async function dispatchFragile({ options, tasks, openJobs, fragile }: Plan) {
  const { maxFileBytes: maxBytes } = options
  await fragile.change()
  const jobs = [
    ...fragile.files.map((path) => tasks.scan.dispatch({ path, maxBytes })),
    tasks.scan.dispatch({ path: fragile.late, maxBytes, expected: true }, { priority: 1 }),
  ]
  await Promise.all(jobs.map((job) => openJobs.add("scan-file", job)))
}

async function dispatchSlow({ tasks, openJobs, fragile }: Plan, { path }: FoundFile) {
  const job = tasks.slow.dispatch({ path, output: join(fragile.path, "checksums.part") })
  const off = job.on("progress", async ({ progress }) => {
    if (Number(progress) < enough) return
    off()
    await job.cancel({ reason: `${enough} % of ${path} tell enough` })
  })
  await openJobs.add("slow-scan", job)
}
