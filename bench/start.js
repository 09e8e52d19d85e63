// `npm run bench`: installs what the contestants need where it is missing, builds, and runs the build.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)

function run(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ["inherit", 2, 2] })
  if (error || status !== 0) {
    console.error(`bench: ${command} ${args.join(" ")} failed`)
    process.exit(status ?? 1)
  }
}

if (!existsSync(join(here, "node_modules", "bullmq"))) run("npm", ["ci"], here)
run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "bench/tsconfig.json"], root)

const [first, ...rest] = process.argv.slice(2)
const isCosts = first === "costs"
const program = join(here, "dist/bench", isCosts ? "costs.js" : "run.js")
const args = isCosts ? rest : process.argv.slice(2)
process.exitCode = spawnSync(process.execPath, [program, ...args], { stdio: "inherit" }).status ?? 1
