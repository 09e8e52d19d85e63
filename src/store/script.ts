import { createHash } from "node:crypto"
import { includeLibraries, readScript } from "./lua.ts"
import type { Reply, ScriptSource } from "./store.ts"

/**
 * A script, declared once by the names of its keys and arguments, in the order in which they are sent.
 * `rest` says what follows the named arguments, for readers; `base` (the task's key prefix) makes job keys.
 */
export interface ScriptDeclaration<K extends string, A extends string, T> {
  readonly keys: readonly K[]
  readonly args: readonly A[]
  readonly rest?: string
  /** Takes several groups of keys and arguments, one for each task. */
  readonly grouped?: true
  readonly reply: (reply: Reply) => T
}

export interface Script<K extends string, A extends string, T> extends ScriptDeclaration<K, A, T> {
  readonly name: string
  readonly source: ScriptSource
}

export function script<const K extends string, const A extends string, T>(
  name: string,
  declaration: ScriptDeclaration<K, A, T>,
): Script<K, A, T> {
  let source: ScriptSource | undefined
  return {
    ...declaration,
    name,
    // Read at the first use: an app that only dispatches never reads the worker's scripts.
    get source() {
      source ??= load(name, declaration)
      return source
    },
  }
}

function load(name: string, declaration: ScriptDeclaration<string, string, unknown>): ScriptSource {
  const prelude = declaration.grouped ? groupedPrelude(declaration) : plainPrelude(declaration)
  const text = `${prelude}\n${includeLibraries(readScript(name))}`
  return { name, text, sha: createHash("sha1").update(text).digest("hex") }
}

/** `q` holds the keys and `a` the arguments by name; `first` is the index of the first unnamed argument. */
function plainPrelude({ keys, args }: ScriptDeclaration<string, string, unknown>): string {
  return [
    `local q = { ${keys.map((key, i) => `${key} = KEYS[${i + 1}]`).join(", ")} }`,
    `local a = { ${args.map((arg, i) => `${arg} = ARGV[${i + 1}]`).join(", ")} }`,
    `local first = ${args.length + 1}`,
  ].join("\n")
}

function groupedPrelude({ keys, args }: ScriptDeclaration<string, string, unknown>): string {
  const fields = (names: readonly string[], table: string) =>
    names.map((name, i) => `${name} = ${table}[at + ${i + 1}]`).join(", ")
  const reader = (name: string, names: readonly string[], table: string) =>
    `local function ${name}(t) local at = (t - 1) * ${names.length} return { ${fields(names, table)} } end`
  return [
    `local groups = #KEYS / ${keys.length}`,
    reader("group_keys", keys, "KEYS"),
    ...(args.length > 0 ? [reader("group_args", args, "ARGV")] : []),
  ].join("\n")
}
