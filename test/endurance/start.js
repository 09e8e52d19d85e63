// `npm run endurance`: builds the program where the package's folders and packages are found from, and runs it.
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "../..")
const built = join(root, ".tmp", `endurance-${process.pid}`)
mkdirSync(built, { recursive: true })
const compilerOptions = { noEmit: false, outDir: built, rootDir: root, declaration: false }
const files = [join(root, "test/endurance/day.ts")]
writeFileSync(
  join(built, "tsconfig.json"),
  JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, files, include: [] }),
)
// `npm run endurance`: builds the program where the package's folders and packages are found from, and runs it.
const compiler = join(root, "node_modules/typescript/bin/tsc")
const compiled = spawnSync(process.execPath, [compiler, "-p", built, "--noCheck"], { stdio: "inherit" })
if (compiled.status !== 0) process.exit(1)
const program = join(built, "test/endurance/day.js")
const { status } = spawnSync(process.execPath, ["--expose-gc", program, ...process.argv.slice(2)], {
  stdio: "inherit",
  cwd: root,
})
rmSync(built, { recursive: true, force: true })
process.exitCode = status ?? 1
