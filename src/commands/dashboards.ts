import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { invalid } from "../model/options.ts"
import { version } from "../version.ts"
import { type Command, parseFlags, UsageError } from "./command.ts"

const usage = `Usage: taskora dashboards [options]

Writes dashboards for Grafana, recording rules and alerts for Prometheus, and the runbooks of the alerts, for import or
provisioning: grafana/*.json, prometheus/*.yml and alerts.md.

  --out DIR          where to (default: taskora-dashboards)
  --datasource UID   the data source that the dashboards begin with (default: Grafana's default Prometheus)
  --runbooks URL     where you publish alerts.md; the alerts link there (default: the path docs/alerts.md)
  --force            overwrite files that somebody else wrote or changed
  -h, --help         show this

Run again after an upgrade, it replaces what it wrote. A file that was changed since, or was there before, stays, and
nothing is written.`

const flags = {
  out: { type: "string" },
  datasource: { type: "string" },
  runbooks: { type: "string" },
  force: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const

/** Beside the files: what was written, by path and digest, so that a later run knows its own. */
const record = ".taskora.json"

export const command: Command = {
  summary: "write dashboards, recording rules and alerts",
  usage,
  async run(args) {
    const { out = "taskora-dashboards", datasource, runbooks, force = false } = parseFlags(args, flags)
    const files = readFiles(checkUid(datasource), checkUrl(runbooks))
    write(resolve(checkOut(out)), files, force)
    for (const path of files.keys()) console.log(join(out, path))
    return 0
  },
}

function checkOut(out: string): string {
  if (out === "") throw new UsageError("--out: give the path of a directory")
  return out
}

function checkUid(uid: string | undefined): string | undefined {
  if (uid === undefined || /^[\w-]{1,40}$/.test(uid)) return uid
  throw new UsageError("--datasource: give the uid of a data source: 1 to 40 letters, digits, - and _")
}

function checkUrl(url: string | undefined): string | undefined {
  if (url === undefined || (/^https?:\/\/[^\s#"]+$/.test(url) && URL.canParse(url))) return url
  throw new UsageError(
    "--runbooks: give the URL of the page, such as https://wiki.example.com/taskora-alerts",
  )
}

/** The files of the package, as they are to be written, by their paths. */
function readFiles(datasource: string | undefined, runbooks: string | undefined): Map<string, string> {
  const root = findPackage()
  const read = (path: string) => readFileSync(join(root, path), "utf8")
  const list = (folder: string, ending: string) =>
    readdirSync(join(root, "dashboards", folder))
      .filter((name) => name.endsWith(ending))
      .sort()
      .map((name) => `${folder}/${name}`)
  return new Map([
    ...list("grafana", ".json").map((path): [string, string] => [
      path,
      withDatasource(read(`dashboards/${path}`), datasource),
    ]),
    ...list("prometheus", ".yml").map((path): [string, string] => [
      path,
      withRunbooks(read(`dashboards/${path}`), runbooks),
    ]),
    ["alerts.md", read("docs/alerts.md")],
  ])
}

/** Found from here upwards: source and build lie at different depths. */
function findPackage(): string {
  const here = dirname(fileURLToPath(import.meta.url))
  for (let at = here; ; at = dirname(at)) {
    if (existsSync(join(at, "dashboards/grafana")) && existsSync(join(at, "docs/alerts.md"))) return at
    if (dirname(at) === at)
      throw invalid(`taskora is incomplete: no folder "dashboards" above ${here}; install it again.`)
  }
}

interface Variable {
  readonly name: string
  current?: { readonly selected: boolean; readonly text: string; readonly value: string }
}

function withDatasource(text: string, uid: string | undefined): string {
  if (uid === undefined) return text
  const dashboard = JSON.parse(text) as { readonly templating: { readonly list: readonly Variable[] } }
  for (const variable of dashboard.templating.list) {
    if (variable.name === "datasource") variable.current = { selected: true, text: uid, value: uid }
  }
  return `${JSON.stringify(dashboard, null, 2)}\n`
}

function withRunbooks(text: string, url: string | undefined): string {
  return url === undefined ? text : text.replaceAll("runbook_url: docs/alerts.md", `runbook_url: ${url}`)
}

/** All or nothing, as far as somebody else's files go. @throws TaskoraError (`INVALID`) */
function write(out: string, files: ReadonlyMap<string, string>, force: boolean): void {
  try {
    const own = readRecord(out)
    const foreign = [...files].filter(([path, text]) => {
      if (!existsSync(join(out, path))) return false
      const found = digest(readFileSync(join(out, path), "utf8"))
      return found !== own[path] && found !== digest(text)
    })
    if (foreign.length > 0 && !force)
      throw refusal(
        out,
        foreign.map(([path]) => path),
      )
    for (const [path, text] of files) {
      mkdirSync(dirname(join(out, path)), { recursive: true })
      writeFileSync(join(out, path), text)
    }
    const digests = Object.fromEntries([...files].map(([path, text]) => [path, digest(text)]))
    writeFileSync(join(out, record), `${JSON.stringify({ version, files: digests }, null, 2)}\n`)
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException
    if (path === undefined) throw error
    throw invalid(
      `cannot write to ${path}: ${reasons[code ?? ""] ?? code}. Give another directory with --out.`,
    )
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "it is not permitted",
  EEXIST: "there is a file in the directory's place",
  ENOTDIR: "there is a file in the directory's place",
  EISDIR: "there is a directory in the file's place",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
}

function refusal(out: string, paths: readonly string[]): Error {
  return invalid(
    `these files in ${out} were not written by taskora, or were changed since: ${paths.join(", ")}. ` +
      "Nothing was written. Give another directory with --out, or overwrite them with --force.",
  )
}

function readRecord(out: string): Readonly<Record<string, string>> {
  if (!existsSync(join(out, record))) return {}
  try {
    return (
      (JSON.parse(readFileSync(join(out, record), "utf8")) as { files?: Record<string, string> }).files ?? {}
    )
  } catch {
    // A record that cannot be read proves nothing: every file counts as somebody else's.
    return {}
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex")
}
