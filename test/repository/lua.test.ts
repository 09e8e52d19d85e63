import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { describe, expect, test } from "vitest"
import { clusterEdition } from "../../src/store/redis/cluster/edition.ts"
import { scripts } from "../../src/store/scripts.ts"
import { reachable, splitFunctions } from "../support/lua-script.ts"
import { run, workDirectory } from "../support/package.ts"
import { findProgram } from "../support/prometheus-server.ts"
import { root, sourceFiles } from "../support/repository.ts"

const files = sourceFiles(["lua"], ".lua")
const libraries = files.filter(({ path }) => path.startsWith("lua/lib/"))
const declared = Object.entries(scripts)

/** Declared without being read: a script that touches only keys it builds itself still names one, which says where to send it. */
const addresses: Readonly<Record<string, readonly string[]>> = {
  fetch: ["stats"],
  versions: ["stats"],
}

describe("each script and its declaration", () => {
  test("every file in lua/ is declared under its own name, and every declaration has its file", () => {
    const names = files.filter((file) => !libraries.includes(file)).map(({ path }) => basename(path, ".lua"))
    expect(declared.map(([name]) => name).sort()).toEqual(names)
    expect(declared.filter(([name, script]) => script.name !== name)).toEqual([])
  })

  test.each(declared)(
    "%s names no key or argument that is not declared, and uses each that is",
    (name, script) => {
      const text = reachable(script.source.text.split("\n").slice(3).join("\n"))
      for (const [table, names] of [
        ["q", script.keys],
        ["a", script.args],
      ] as const) {
        const used = new Set(
          [...text.matchAll(new RegExp(`\\b${table}\\.(\\w+)`, "g"))].map(([, word]) => word as string),
        )
        expect([...used].filter((word) => !(names as readonly string[]).includes(word))).toEqual([])
        // A name that is computed may be any of them.
        if (new RegExp(`\\b${table}\\[`).test(text)) continue
        const known = table === "q" ? (addresses[name] ?? []) : []
        expect(names.filter((word) => !used.has(word) && !known.includes(word))).toEqual([])
      }
    },
  )

  test.each(declared)("%s takes more arguments than the named ones only where it says which", (_, script) => {
    const text = reachable(script.source.text.split("\n").slice(3).join("\n"))
    expect(/\bARGV\b/.test(text)).toBe(script.rest !== undefined)
  })

  test("every file begins by saying what it does, and every script what it replies", () => {
    const silent = files.filter(({ text }) => !/^(-- @\w+ \w+\n)*-- [A-Z]/.test(text))
    expect(silent.map(({ path }) => path)).toEqual([])
    const without = files
      .filter((file) => !libraries.includes(file) && !/^--.*\bRepl(ies|y)\b/m.test(file.text))
      .map(({ path }) => path)
    expect(without).toEqual([])
  })
})

describe("the libraries", () => {
  test("every include has its file", () => {
    const names = libraries.map(({ path }) => basename(path, ".lua"))
    const includes = files.flatMap(({ text }) =>
      [...text.matchAll(/^-- @\w+ (\w+)$/gm)].map(([, name]) => name),
    )
    expect(includes.filter((name) => !names.includes(name as string))).toEqual([])
  })

  test("every function of a library is used by some script", () => {
    const reached = declared.map(([, script]) => reachable(script.source.text)).join("\n")
    const unused = libraries
      .flatMap(({ text }) => splitFunctions(text).functions.map(({ name }) => name))
      .filter((name) => !reached.includes(`function ${name}(`))
    expect(unused).toEqual([])
  })
})

const luacheck = findProgram(["luacheck"], "--version")

test.skipIf(luacheck === undefined)(
  "luacheck finds nothing in the scripts as they are sent",
  () => {
    const place = workDirectory("lua")
    const inLibraries = new Set(
      libraries.flatMap(({ text }) => [
        ...splitFunctions(text).functions.map(({ name }) => name),
        ...[...text.matchAll(/^local (\w+) =/gm)].map(([, name]) => name as string),
      ]),
    )
    try {
      for (const [name, script] of declared) {
        writeFileSync(join(place.path, `${name}.lua`), `${script.source.text}\n`)
        writeFileSync(join(place.path, `${name}-cluster.lua`), `${clusterEdition(script.source).text}\n`)
      }
      const words = ["--config", ".luacheckrc", "--formatter", "plain", "--codes", "--no-color", place.path]
      const { stdout, stderr } = spawnSync("luacheck", words, { cwd: root, encoding: "utf8" })
      expect(stderr).toBe("")
      const findings = stdout.split("\n").filter((line) => {
        // A script need not use all of a library; that somebody uses it is the test above.
        const unused = /\(W211\) unused (?:function|variable) '(\w+)'/.exec(line)?.[1]
        return line !== "" && !(unused !== undefined && inLibraries.has(unused))
      })
      expect(findings).toEqual([])
      // The lint itself is awake.
      writeFileSync(join(place.path, "wrong.lua"), "return misspelt\n")
      expect(() => run("luacheck", words, { cwd: root })).toThrow(/undefined variable 'misspelt'/)
    } finally {
      place.remove()
    }
  },
  180_000,
)
