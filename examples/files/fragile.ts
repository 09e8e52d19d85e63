import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A folder of files that go wrong, as files do in any busy directory, but here for certain and at a known time. */
export class FragileFolder {
  readonly vanishing: readonly string[]
  readonly dangling: string
  readonly folderLink: string
  readonly late: string
  private arrival: NodeJS.Timeout | undefined

  private constructor(readonly path: string) {
    this.vanishing = [1, 2, 3].map((n) => join(path, `vanishing-${n}.txt`))
    this.dangling = join(path, "dangling-link")
    this.folderLink = join(path, "link-to-a-folder")
    this.late = join(path, "late.json")
  }

  static async create(): Promise<FragileFolder> {
    const folder = new FragileFolder(await mkdtemp(join(tmpdir(), "taskora-files-")))
    for (const path of folder.vanishing) await writeFile(path, "here today, gone tomorrow\n")
    await symlink(join(folder.path, "nowhere"), folder.dangling)
    await symlink(folder.path, folder.folderLink)
    return folder
  }

  /** All but the late one, which is to be dispatched as `expected`. */
  get files(): readonly string[] {
    return [...this.vanishing, this.dangling, this.folderLink]
  }

  /** What happens between the walk and the jobs: some files are gone, one comes after a while. */
  async change(): Promise<void> {
    for (const path of [...this.vanishing, this.late]) await rm(path, { force: true })
    this.arrival = setTimeout(() => {
      // Should it fail, its job will say so.
      writeFile(this.late, JSON.stringify({ sorry: "I am late" })).catch(() => undefined)
    }, 700)
  }

  async remove(): Promise<void> {
    clearTimeout(this.arrival)
    await rm(this.path, { recursive: true, force: true })
  }
}
