import { installedPackages, Walk } from "../../examples/files/walk.ts"
import { createTaskora } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"

const limits = { maxFiles: 8000, maxBytes: Number.MAX_SAFE_INTEGER, maxFileBytes: 1024 * 1024 }

/** Dispatches as many files at once as the workers of a run will need a while for. @returns how many */
export async function burst(url: string, prefix: string): Promise<number> {
  const paths: string[] = []
  for await (const { files } of new Walk(limits).from(installedPackages()))
    paths.push(...files.map(({ path }) => path))
  const taskora = createTaskora({ adapter: redisAdapter(url, { prefix }) })
  const scan = taskora.task("scan-file")
  try {
    const jobs = paths.map((path) => ({ data: { path, maxBytes: limits.maxFileBytes } }))
    await Promise.all(scan.dispatchMany(jobs))
  } finally {
    await taskora.close()
  }
  return paths.length
}
