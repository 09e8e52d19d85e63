import { type Dirent, existsSync } from "node:fs"
import { readdir, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

export interface FoundFile {
  readonly path: string
  /** 0 for a link that points to nothing. */
  readonly size: number
}

export interface Directory {
  readonly path: string
  readonly files: readonly FoundFile[]
}

export interface WalkLimits {
  readonly maxFiles: number
  readonly maxBytes: number
  /** Files above this size are found but will not be read: they take nothing of `maxBytes`. */
  readonly maxFileBytes: number
}

/** Finds files and links, directory by directory, in the order of their names. Links are not followed. */
export class Walk {
  /** The limit at which it ended; undefined where it saw everything. */
  stoppedAt: "--max-files" | "--max-bytes" | undefined
  files = 0
  bytes = 0

  constructor(private readonly limits: WalkLimits) {}

  async *from(root: string): AsyncGenerator<Directory> {
    const open = [root]
    for (let path = open.pop(); path !== undefined && !this.stoppedAt; path = open.pop()) {
      const entries = await list(path)
      const files: FoundFile[] = []
      for (const entry of entries.filter((found) => found.isFile() || found.isSymbolicLink())) {
        const file = await measure(join(path, entry.name))
        if (!this.take(file)) break
        files.push(file)
      }
      if (files.length > 0) yield { path, files }
      const folders = entries.filter((entry) => entry.isDirectory())
      open.push(...folders.map(({ name }) => join(path, name)).reverse())
    }
  }

  private take({ size }: FoundFile): boolean {
    const { maxFiles, maxBytes, maxFileBytes } = this.limits
    const cost = size > maxFileBytes ? 0 : size
    if (this.files + 1 > maxFiles) this.stoppedAt = "--max-files"
    else if (this.bytes + cost > maxBytes) this.stoppedAt = "--max-bytes"
    if (this.stoppedAt) return false
    this.files++
    this.bytes += cost
    return true
  }
}

/** A directory that vanished or may not be read holds nothing for us. */
async function list(path: string): Promise<Dirent[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function measure(path: string): Promise<FoundFile> {
  const size = await stat(path).then(
    (entry) => (entry.isFile() ? entry.size : 0),
    () => 0,
  )
  return { path, size }
}

/** The packages that this project has installed: a few thousand real files that everybody has. */
export function installedPackages(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== dirname(at); at = dirname(at)) {
    const packages = join(at, "node_modules")
    if (existsSync(packages)) return packages
  }
  return "node_modules"
}
