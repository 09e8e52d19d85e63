import { createHash } from "node:crypto"
import { open, stat } from "node:fs/promises"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { SpanStatusCode, trace } from "@opentelemetry/api"
import type { Context } from "../../src/index.ts"
import { type Kind, kindOf } from "./content.ts"
import { explain, FileTooLargeError, NotAFileError } from "./errors.ts"

export interface FileJob {
  readonly path: string
  /** Larger files are refused. */
  readonly maxBytes: number
  /** The file was announced and may arrive later than its job. */
  readonly expected?: boolean
}

export interface FileReport {
  readonly bytes: number
  readonly sha256: string
  readonly kind: Kind
  /** Size after compression over size before, of the file's beginning. */
  readonly ratio: number
}

/** From this size on, a file's job reports how far it has read. */
const largeFile = 256 * 1024
const chunk = 64 * 1024
const sample = 128 * 1024

const compress = promisify(gzip)

/** The handler of `scan-file`. */
export async function scanFile(job: FileJob, ctx: Context): Promise<FileReport> {
  const { path } = job
  const content = await step("read", () => read(job, ctx))
  const sha256 = await step("hash", async () => createHash("sha256").update(content).digest("hex"))
  const ratio = await step("compress", () => ratioOf(content.subarray(0, sample)))
  return { bytes: content.length, sha256, kind: kindOf(path, content), ratio }
}

async function read(job: FileJob, ctx: Context): Promise<Buffer> {
  try {
    return await readInChunks(job, ctx)
  } catch (error) {
    throw await explain(error, job.path, job.expected ?? false)
  }
}

async function readInChunks({ path, maxBytes }: FileJob, ctx: Context): Promise<Buffer> {
  const entry = await stat(path)
  if (!entry.isFile()) throw new NotAFileError(`${path} is not a file`)
  if (entry.size > maxBytes) throw new FileTooLargeError(path, entry.size, maxBytes)
  const file = await open(path)
  try {
    const content = Buffer.alloc(entry.size)
    let position = 0
    while (position < content.length) {
      ctx.signal.throwIfAborted()
      const length = Math.min(chunk, content.length - position)
      const { bytesRead } = await file.read(content, position, length, position)
      if (bytesRead === 0) break
      position += bytesRead
      if (content.length >= largeFile) ctx.progress(position)
    }
    return content.subarray(0, position)
  } finally {
    await file.close()
  }
}

async function ratioOf(content: Uint8Array): Promise<number> {
  if (content.length === 0) return 1
  const compressed = await compress(content, { level: 1 })
  return Math.round((compressed.length / content.length) * 1000) / 1000
}

const tracer = trace.getTracer("taskora-example-files")

/** One step of the handler as a span of its own. It becomes a child of the run's span, in which handlers run. */
async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  return tracer.startActiveSpan(name, async (span) => {
    try {
      return await work()
    } catch (error) {
      span.setAttribute("error.type", (error as Error).name)
      span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message })
      throw error
    } finally {
      span.end()
    }
  })
}
