import { isDeepStrictEqual } from "node:util"
import { afterAll, describe, expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import { benchOf } from "./harness.ts"
import { type Row, rows } from "./matrix.ts"
import { arrange, type State, stateNames, whereIs } from "./states.ts"
import type { TaskState } from "./task-state.ts"

onBothHosts("script x outcome x state", (host) => {
  const bench = benchOf(host)
  const seen = new Map<string, string>()

  /** What the cell does otherwise than the table says. */
  async function visit(row: Row, state: State): Promise<string[]> {
    const task = bench.task()
    const title = `${row.script} ${row.title}: ${state}`
    const effect = row.effects[state]
    const wanted = effect ?? row.idle?.[state] ?? row.otherwise
    seen.set(title, wanted)
    try {
      const held = await arrange(task, bench, state)
      const before = await task.check()
      const word = await row.act(task, held, bench)
      const after = await task.check()
      const said = effect === undefined ? word : `${word} -> ${whereIs(after)}`
      const wrong = said === wanted ? [] : [`${title}: wanted "${wanted}", found "${said}"`]
      const changed = effect === undefined ? changes(before, after) : []
      return [...wrong, ...changed.map((what) => `${title}: changed ${what}`)]
    } catch (error) {
      return [`${title}: ${(error as Error).message}`]
    }
  }

  describe.each([...new Set(rows.map(({ script }) => script))])("%s", (script) => {
    const titled = rows.filter((row) => row.script === script).map((row) => [row.title, row] as const)
    test.each(titled)("%s", async (_title, row) => {
      const wrong: string[] = []
      for (const state of stateNames) wrong.push(...(await visit(row, state)))
      expect(wrong).toEqual([])
    })
  })

  afterAll(() => {
    const holes = rows.flatMap(({ script, title }) =>
      stateNames.map((state) => `${script} ${title}: ${state}`).filter((cell) => !seen.has(cell)),
    )
    console.log(table(host.name, seen))
    expect(holes, "cells that were not visited").toEqual([])
  })
})

/** What differs, apart from receipts and zeros. */
function changes(before: TaskState, after: TaskState): string[] {
  const [was, is] = [before, after].map(
    (state): Readonly<Record<string, unknown>> => ({
      ...state,
      stats: new Map(
        [...state.stats].filter(
          ([name, value]) =>
            !name.startsWith("lane:") && !["swept", "ranked"].includes(name) && value !== "0",
        ),
      ),
    }),
  )
  return Object.keys(was!).filter((name) => !isDeepStrictEqual(was![name], is![name]))
}

function table(host: string, seen: ReadonlyMap<string, string>): string {
  const lines = rows.flatMap(({ script, title }) => {
    const cells = new Map<string, string[]>()
    for (const state of stateNames) {
      const outcome = seen.get(`${script} ${title}: ${state}`) ?? "NOT VISITED"
      cells.set(outcome, [...(cells.get(outcome) ?? []), state])
    }
    return [
      `${script} ${title}`,
      ...[...cells].map(([outcome, states]) => `    ${outcome.padEnd(32)} ${states.join(" | ")}`),
    ]
  })
  const cells = rows.length * stateNames.length
  return [`${host}: ${seen.size} of ${cells} cells visited`, ...lines].join("\n")
}
