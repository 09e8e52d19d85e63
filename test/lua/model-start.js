// `npm run model -- --runs N --host embedded|redis --seed S`: many stories against the model, on one host or both.
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { parseArgs } from "node:util"

const root = join(import.meta.dirname, "../..")
const options = { runs: { type: "string" }, host: { type: "string" }, seed: { type: "string" } }
const { values } = parseArgs({ options })
for (const name of ["runs", "seed"]) {
  if (values[name] === undefined || /^\d+$/.test(values[name])) continue
  console.error(`model: --${name} must be a whole number, not "${values[name]}"`)
  process.exit(2)
}
if (values.host !== undefined && !["embedded", "redis"].includes(values.host)) {
  console.error(`model: --host must be embedded or redis, not "${values.host}"`)
  process.exit(2)
}
const env = { ...process.env, TASKORA_MODEL_RUNS: values.runs ?? "10000" }
if (values.host) env.TASKORA_MODEL_HOST = values.host
if (values.seed) env.TASKORA_MODEL_SEED = values.seed
const vitest = join(root, "node_modules/vitest/vitest.mjs")
const args = [vitest, "run", "test/lua/model.test.ts"]
process.exitCode = spawnSync(process.execPath, args, { cwd: root, env, stdio: "inherit" }).status ?? 1
