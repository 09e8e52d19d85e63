import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, posix } from "node:path"
import { fileURLToPath } from "node:url"

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..")

export interface SourceFile {
  /** From the repository's root, with slashes. */
  readonly path: string
  readonly text: string
}

export interface Import {
  /** A file of this repository by its path, or a package as it was written. */
  readonly target: string
  readonly isPackage: boolean
}

const notOurs = /(^|\/)(node_modules|dist)\//

/** The files of the given folders that exist, in order; what was installed or built there apart. */
export function sourceFiles(folders: readonly string[], extension: string): SourceFile[] {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { encoding: "utf8", recursive: true }).map(
        (path) => `${folder}/${path.replaceAll("\\", "/")}`,
      ),
    )
    .filter((path) => path.endsWith(extension) && !notOurs.test(path))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }))
}

const statement = /^(?:import|export)\b[^"';()]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"/gm
const call = /\b(?:import|require)\(\s*"([^"]+)"\s*\)|\)\("([^"]+)"\)\s+as\b/g

/** Everything a file imports, types too: what only its types need is a dependency of the reader all the same. */
export function importsOf(file: SourceFile): Import[] {
  const words = [...file.text.matchAll(statement), ...file.text.matchAll(call)]
  return words.map(([, first, second]) => {
    const word = first ?? second ?? ""
    if (!word.startsWith(".")) return { target: word, isPackage: true }
    return { target: posix.join(posix.dirname(file.path), word), isPackage: false }
  })
}
