import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { root } from "./repository.ts"

export const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly version: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly scripts: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
}

/** A directory under the repository, so that its packages are found from there. */
export function workDirectory(purpose: string): { readonly path: string; remove(): void } {
  mkdirSync(join(root, ".tmp"), { recursive: true })
  const path = mkdtempSync(join(root, ".tmp", `${purpose}-`))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Runs a program to its end. @throws with its output where it failed */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv },
): string {
  const env = { ...process.env, ...options.env }
  // npm hands its own settings on to what it runs; a run of its own shall not inherit them.
  for (const name of Object.keys(env))
    if (/^npm_(package|lifecycle|command|execpath|node)/.test(name)) delete env[name]
  const done = spawnSync(program, args, { ...options, env, encoding: "utf8", timeout: 100_000 })
  if (done.status === 0) return done.stdout
  const output = `${done.stdout}${done.stderr}${done.error?.message ?? ""}`
  throw new Error(`${program} ${args.join(" ")} ended with ${done.status ?? done.signal}\n${output}`)
}

export function bin(name: string): string {
  return join(root, "node_modules", ".bin", name)
}

/** Builds what `npm publish` would send, away from `dist`, which others may be using. */
export function stagePackage(to: string): void {
  run(bin("tsc"), ["-p", "tsconfig.build.json", "--outDir", join(to, "dist")], { cwd: root })
  for (const name of ["package.json", "lua", "dashboards", "docs", "README.md", "LICENSE", "CHANGELOG.md"]) {
    cpSync(join(root, name), join(to, name), { recursive: true })
  }
}
