import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { parse } from "yaml"
import { bin, run } from "../support/package.ts"
import { root } from "../support/repository.ts"

export const folder = join(root, "dashboards/compose")

export function text(file: string): string {
  return readFileSync(join(folder, file), "utf8")
}

export interface Service {
  readonly image?: string
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly deploy?: { readonly replicas: number }
}

export interface Compose {
  readonly name: string
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}

export const compose = parse(text("compose.yaml"), { merge: true }) as Compose

export function service(name: string): Service {
  const found = compose.services[name]
  if (found === undefined) throw new Error(`there is no service ${name}`)
  return found
}

export interface Mount {
  readonly from: string
  readonly to: string
  readonly named: boolean
}

export function mounts({ volumes = [] }: Service): Mount[] {
  return volumes.map((volume) => {
    const [from = "", to = ""] = volume.split(":")
    const named = !from.startsWith(".")
    return { from: named ? from : resolve(folder, from), to, named }
  })
}

/** Lays a service's mounts out below a directory, as the container sees them. */
export function layOut(name: string, below: string): void {
  for (const { from, to, named } of mounts(service(name))) {
    if (named) continue
    mkdirSync(dirname(join(below, to)), { recursive: true })
    cpSync(from, join(below, to), { recursive: true })
  }
}

export interface Step {
  readonly word: string
  readonly rest: readonly string[]
}

/** The steps of the Dockerfile. */
export const steps: readonly Step[] = text("Dockerfile")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => {
    const [word = "", ...rest] = line.split(" ")
    return { word, rest }
  })

/** Takes the steps of the Dockerfile in an empty directory; the packages are linked, not installed. */
export function buildImage(at: string): void {
  for (const { word, rest } of steps) {
    if (word === "COPY") {
      const to = rest.at(-1) as string
      for (const from of rest.slice(0, -1)) {
        if (!isSent(from)) throw new Error(`Dockerfile.dockerignore leaves ${from} out`)
        cpSync(join(root, from), to === "./" ? join(at, from) : join(at, to), { recursive: true })
      }
    } else if (word === "RUN" && rest[0] === "npm") {
      if (!existsSync(join(at, "package-lock.json"))) throw new Error("npm ci needs a lock")
      symlinkSync(join(root, "node_modules"), join(at, "node_modules"))
    } else if (word === "RUN") {
      const [npx, program = "", ...args] = rest
      if (npx !== "npx") throw new Error(`who knows what ${rest.join(" ")} does`)
      run(bin(program), args, { cwd: at })
    }
  }
}

const kept = text("Dockerfile.dockerignore").trim().split("\n").slice(1)

function isSent(path: string): boolean {
  return kept.some((line) =>
    new RegExp(`^${line.slice(1).replace(".", "\\.").replace("*", ".*")}$`).test(path),
  )
}
