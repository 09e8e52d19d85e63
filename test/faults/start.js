// `npm run soak`: builds the harness where the package's folders and packages are found from, and runs it.
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "../..")
const built = join(root, ".tmp", `soak-${process.pid}`)
mkdirSync(built, { recursive: true })
const compilerOptions = { noEmit: false, outDir: built, rootDir: root, declaration: false }
const files = ["soak", "pod"].map((name) => join(root, `test/faults/${name}.ts`))
writeFileSync(
  join(built, "tsconfig.json"),
  JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, files, include: [] }),
)
// Types are checked elsewhere.
const compiler = join(root, "node_modules/typescript/bin/tsc")
const compiled = spawnSync(process.execPath, [compiler, "-p", built, "--noCheck"], { stdio: "inherit" })
if (compiled.status !== 0) process.exit(1)
const program = join(built, "test/faults/soak.js")
const { status } = spawnSync(process.execPath, [program, ...process.argv.slice(2)], {
  stdio: "inherit",
  cwd: root,
  env: { ...process.env, TASKORA_SOAK_ROOT: relative(dirname(program), root) },
})
rmSync(built, { recursive: true, force: true })
process.exitCode = status ?? 1
