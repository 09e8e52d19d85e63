import { createHash } from "node:crypto"
import { appendFile, open, rm } from "node:fs/promises"
import { setTimeout as pause } from "node:timers/promises"
import type { Context } from "../../src/index.ts"

export interface SlowJob {
  readonly path: string
  /** Where the checksums go, a line each. */
  readonly output: string
}

const steps = 100
const pauseMs = 150
const block = 64 * 1024

/** The handler of `slow-scan`: checksums of a hundred blocks of one file, unhurried. Reports percent. */
export async function slowScan({ path, output }: SlowJob, ctx: Context): Promise<{ blocks: number }> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    for (let done = 0; done < steps; done++) {
      const position = Math.floor((size * done) / steps)
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(block), position })
      const sum = createHash("sha256").update(buffer.subarray(0, bytesRead)).digest("hex")
      await appendFile(output, `${position} ${sum}\n`)
      ctx.progress(done + 1)
      // Ends at once when the job is cancelled: the signal aborts.
      await pause(pauseMs, undefined, { signal: ctx.signal })
    }
    return { blocks: steps }
  } finally {
    await file.close()
  }
}

/** Its `onCancel`: half a list of checksums is of no use to anybody. */
export async function removeOutput({ output }: SlowJob): Promise<void> {
  await rm(output, { force: true })
}
