import { describe, expect, test } from "vitest"
import { importsOf, sourceFiles } from "../support/repository.ts"

const files = sourceFiles(["src", "exporters", "dashboards", "examples", "bench"], ".ts")
const imports = files.flatMap((file) => importsOf(file).map((to) => ({ from: file.path, ...to })))
const entries = [
  "src/index.ts",
  "src/redis.ts",
  "src/memory.ts",
  "exporters/prometheus.ts",
  "exporters/opentelemetry/index.ts",
  "exporters/cluster.ts",
]

/** The folders that each folder may import from, besides itself. */
const layers: Readonly<Record<string, readonly string[]>> = {
  "src/model/": [],
  "src/rules/": ["src/model/"],
  "src/store/": ["src/model/"],
  "src/worker/": ["src/model/", "src/rules/", "src/store/"],
  "src/events/": ["src/model/", "src/rules/", "src/store/"],
  "src/manage/": ["src/model/", "src/rules/", "src/store/"],
  "src/scheduler/": ["src/model/", "src/rules/", "src/store/"],
  // The command is above all: it starts what the others are.
  "src/commands/": ["src/", "exporters/"],
  // The test runner counts as the exporters do.
  "src/testing/": ["src/", "exporters/measure/"],
  "src/": ["src/"],
  // The exporter of a cluster has no app to be told by: it reads the store through a part made for it.
  "exporters/": ["src/model/", "src/index.ts", "src/cluster.ts"],
  // The pictures show the example at work.
  "dashboards/pictures/": ["examples/files/", "src/index.ts", "src/redis.ts", "test/support/"],
  "dashboards/": ["exporters/catalogue"],
  "examples/": entries,
  "bench/": ["src/", "exporters/", "test/support/"],
}

/** The only places that may name a package; Node's own modules apart. */
const packages: Readonly<Record<string, readonly string[]>> = {
  "src/rules/cron.ts": ["croner"],
  "src/store/redis/": ["ioredis"],
  "src/store/embedded/": ["wasmoon"],
  "exporters/prometheus": ["prom-client"],
  "exporters/opentelemetry/": ["@opentelemetry/"],
}

function layerOf(path: string): string {
  const layer = Object.keys(layers).find((folder) => path.startsWith(folder))
  if (layer === undefined) throw new Error(`${path} lies in no layer`)
  return layer
}

describe("who may import whom", () => {
  test("there is something to look at", () => {
    expect(files.length).toBeGreaterThan(100)
    expect(imports.length).toBeGreaterThan(files.length)
  })

  test.each(Object.entries(layers))("%s imports itself and %j", (layer, allowed) => {
    const wrong = imports
      .filter(({ from, isPackage }) => !isPackage && layerOf(from) === layer)
      .filter(({ target }) => !target.startsWith(layer) && !allowed.some((start) => target.startsWith(start)))
    expect(wrong.map(({ from, target }) => `${from} -> ${target}`)).toEqual([])
  })

  test("src knows packages only in the folder of the store that needs them, exporters only in their own", () => {
    const wrong = imports
      .filter(({ from, isPackage }) => isPackage && /^(src|exporters)\//.test(from))
      .filter(({ from, target }) => {
        const home = Object.keys(packages).find((start) => from.startsWith(start))
        const own = home === undefined ? [] : (packages[home] ?? [])
        return !target.startsWith("node:") && !own.some((start) => target.startsWith(start))
      })
    expect(wrong.map(({ from, target }) => `${from} -> ${target}`)).toEqual([])
  })

  test("the two stores do not know each other", () => {
    const wrong = imports.filter(
      ({ from, target }) =>
        (from.startsWith("src/store/redis/") && target.startsWith("src/store/embedded/")) ||
        (from.startsWith("src/store/embedded/") && target.startsWith("src/store/redis/")),
    )
    expect(wrong).toEqual([])
  })

  test("no file imports itself by way of others", () => {
    expect(cycles()).toEqual([])
  })
})

function cycles(): string[] {
  const next = new Map<string, string[]>()
  for (const { from, target, isPackage } of imports) {
    if (!isPackage) next.set(from, [...(next.get(from) ?? []), target])
  }
  const found: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) found.push([...trail.slice(at), path].join(" -> "))
    if (at >= 0 || done.has(path)) return
    for (const target of next.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of next.keys()) visit(path, [])
  return found
}
