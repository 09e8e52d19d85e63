import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** The folder `lua/` of the package, found from here upwards: source and build lie at different depths. */
const folder = findFolder(dirname(fileURLToPath(import.meta.url)))

function findFolder(from: string): string {
  for (let at = from; ; at = dirname(at)) {
    const candidate = join(at, "lua")
    if (existsSync(join(candidate, "lib", "record.lua"))) return candidate
    if (dirname(at) === at)
      throw new Error(`taskora is incomplete: no folder "lua" above ${from}; install it again`)
  }
}

export function readScript(name: string): string {
  return readFileSync(join(folder, `${name}.lua`), "utf8")
}

/** Puts the libraries that `-- @include name` lines ask for in their place, each once. */
export function includeLibraries(text: string, done = new Set<string>()): string {
  return text
    .split("\n")
    .flatMap((line) => {
      const name = /^-- @include (\w+)$/.exec(line)?.[1]
      if (name === undefined) return [line]
      if (done.has(name)) return []
      done.add(name)
      return [includeLibraries(readScript(join("lib", name)), done)]
    })
    .join("\n")
}
