// `npm run patches [-- --short]`: takes the guards of patches.js out, one at a time, in a copy of the tree, and fails unless
// each patch still loads and is caught by an assertion that names its invariant.
import { execFileSync, spawnSync } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { patches as all } from "./patches.js"

const root = join(import.meta.dirname, "../../..")
const guards = ["test/faults/patches/guards.test.ts"]
const options = { short: { type: "boolean", default: false }, only: { type: "string" } }
const { values } = parseArgs({ options })
const chosen = all.filter(({ short, guard }) =>
  values.only === undefined ? !values.short || short : guard.includes(values.only),
)
if (chosen.length === 0) {
  console.error(`patches: no guard is named "${values.only}"`)
  process.exit(2)
}

mkdirSync(join(root, ".tmp"), { recursive: true })
const copy = mkdtempSync(join(root, ".tmp", "patches-"))
process.on("exit", () => rmSync(copy, { recursive: true, force: true }))
process.on("SIGINT", () => process.exit(130))

/** What the tests import, and what compiles: the work tree as it lies there, without what git ignores. */
function copyTree() {
  const listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
  const wanted = ["src", "lua", "test", "exporters", "package.json", "tsconfig.json", "vitest.config.ts"]
  const files = execFileSync("git", [...listed, "--", ...wanted], { cwd: root, encoding: "utf8" }).split("\0")
  for (const file of files) {
    if (file === "" || !existsSync(join(root, file))) continue
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(root, file), join(copy, file))
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
  // Only what is patched must still compile.
  const config = JSON.parse(readFileSync(join(copy, "tsconfig.json"), "utf8"))
  writeFileSync(join(copy, "tsconfig.json"), JSON.stringify({ ...config, include: ["src"] }))
}

/** What fails, in the words of the assertions; "" where nothing does. */
function failures(tests) {
  const report = join(copy, "report.json")
  rmSync(report, { force: true })
  const words = ["node_modules/vitest/vitest.mjs", "run", "--reporter=json", `--outputFile=${report}`]
  const { CI: _, ...env } = process.env
  spawnSync(process.execPath, [...words, ...tests], { cwd: copy, env, stdio: "ignore" })
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, "utf8"))
  if (numPassedTests + numFailedTests === 0)
    return `nothing ran: ${testResults[0]?.message ?? tests.join(" ")}`
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === "failed")
    .map(({ failureMessages }) => failureMessages.join("\n"))
    .join("\n")
}

/** Undefined where the patch was caught as it must be; else what is wrong. */
function attempt({ file, from, to, invariant, tests = guards }) {
  const path = join(copy, file)
  const text = readFileSync(path, "utf8")
  const places = text.split(from).length - 1
  if (places !== 1) return `what it replaces is there ${places} times in ${file}`
  writeFileSync(
    path,
    text.replace(from, () => to),
  )
  try {
    if (file.endsWith(".ts")) {
      const compiler = spawnSync(
        process.execPath,
        ["node_modules/typescript/bin/tsc", "-p", ".", "--noEmit"],
        {
          cwd: copy,
          encoding: "utf8",
        },
      )
      if (compiler.status !== 0) return `it does not compile: ${compiler.stdout.slice(0, 500)}`
    }
    const said = failures(tests)
    if (/Error compiling script|SyntaxError|nothing ran/.test(said))
      return `it does not load: ${said.slice(0, 500)}`
    if (said === "") return "nobody noticed"
    const sentence = new RegExp(`\\b${invariant}: [^\\n]*`).exec(said)?.[0]
    if (!sentence) return `${invariant} is not named in: ${said.slice(0, 500)}`
    console.log(`    ${sentence.slice(0, 150)}`)
    return undefined
  } finally {
    writeFileSync(path, text)
  }
}

copyTree()
const sets = new Map(chosen.map(({ tests = guards }) => [tests.join(" "), tests]))
let wrong = 0
for (const tests of sets.values()) {
  const said = failures(tests)
  if (said === "") continue
  console.log(`without any patch, ${tests.join(" ")} fails already: ${said.slice(0, 1000)}`)
  process.exit(1)
}
for (const patch of chosen) {
  console.log(`${patch.invariant}  ${patch.guard}`)
  const trouble = attempt(patch)
  if (trouble === undefined) continue
  wrong++
  console.log(`    NOT CAUGHT: ${trouble}`)
}
console.log(`${chosen.length - wrong} of ${chosen.length} patches caught`)
process.exitCode = wrong === 0 ? 0 : 1
