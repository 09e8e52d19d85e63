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

/**
 * Puts libraries in the place of the lines that ask for them, each once: `-- @include name` a library's text as it is;
 * `-- @lazy name` a function of that name which makes the library at its first call and returns what its text returns.
 * A script runs from its first line at each call, so what is seldom needed should not be made each time.
 */
export function includeLibraries(text: string, done: ReadonlySet<string> = new Set()): string {
  const known = new Set(done)
  return text
    .split("\n")
    .map((line) => {
      const [, how, name] = /^-- @(include|lazy) (\w+)$/.exec(line) ?? []
      if (how === undefined || name === undefined) return line
      if (known.has(name)) return ""
      known.add(name)
      const library = readScript(join("lib", name))
      if (how === "lazy") return lazily(name, includeLibraries(library, known))
      const included = includeLibraries(library, known)
      for (const inner of includedNames(library)) known.add(inner)
      return included
    })
    .join("\n")
}

function lazily(name: string, text: string): string {
  return `local ${name}_made
local function ${name}()
  if not ${name}_made then
    ${name}_made = (function()
${text}
    end)()
  end
  return ${name}_made
end`
}

/** What a library brings into the scope of whoever includes it; what is inside a lazy one stays there. */
function includedNames(text: string): string[] {
  return [...text.matchAll(/^-- @(include|lazy) (\w+)$/gm)].flatMap(([, how, name]) =>
    how === "lazy" ? [name!] : [name!, ...includedNames(readScript(join("lib", name!)))],
  )
}
