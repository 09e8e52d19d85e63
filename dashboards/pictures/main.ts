/**
 * `npm run pictures`: pictures of the dashboards for the README, from real numbers. `--redraw` draws the numbers of the
 * last run again.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Board, type Panel, readBoards } from "./board.ts"
import { shoot } from "./chromium.ts"
import { pageHeight, pageWidth } from "./layout.ts"
import { page } from "./page.ts"
import { ask, type PanelData } from "./panel-data.ts"
import { readPng, writePng } from "./png.ts"
import { Prometheus, type Range } from "./prometheus.ts"
import { type Choice, choose, times } from "./variables.ts"
import { play } from "./workload.ts"

/** What was asked of one dashboard, panels in its order; rows have no data. */
interface Answers {
  readonly uid: string
  readonly range: Range
  readonly choices: readonly (readonly [string, Choice])[]
  readonly panels: readonly (PanelData | null)[]
}

const root = process.cwd()
const built = join(root, ".tmp/pictures")
const kept = join(built, "answers.json")
const pictures = join(root, "docs/pictures")
/** Points of a line lie as near to each other as scrapes. */
const stepSeconds = 1
/** What the data source says of itself: rates over 12 s, smoother than the bursts of single walks. */
const intervalSeconds = 3

async function observe(boards: readonly Board[]): Promise<Answers[]> {
  const stage = await play(built, console.log)
  try {
    const prometheus = new Prometheus(stage.prometheusUrl)
    const now = Math.floor(Date.now() / 1000)
    // The first windows are not full yet.
    const begin = Math.ceil(stage.startedAt) + 5 * intervalSeconds
    const range = { from: begin, to: now - 1, step: stepSeconds }
    const answers: Answers[] = []
    for (const board of boards) answers.push(await answer(board, prometheus, range))
    return answers
  } finally {
    await stage.close()
  }
}

async function answer(board: Board, prometheus: Prometheus, range: Range): Promise<Answers> {
  const chosen = await choose(board, (selector, label) => prometheus.labelValues(selector, label))
  const choices = new Map([...chosen, ...times(range.to - range.from, intervalSeconds)])
  const panels: (PanelData | null)[] = []
  for (const panel of board.panels)
    panels.push(panel.type === "row" ? null : await ask(prometheus, panel, { range, choices }))
  return { uid: board.uid, range, choices: [...choices], panels }
}

async function drawBoard(board: Board, { range, choices, panels }: Answers): Promise<void> {
  const data = new Map<Panel, PanelData>()
  for (const [i, panel] of board.panels.entries()) {
    const found = panels[i]
    if (found) data.set(panel, found)
  }
  const path = join(built, `${board.uid}.html`)
  writeFileSync(path, page(board, data, { range, choices: new Map(choices) }))
  const picture = join(pictures, `${board.uid}.png`)
  const shot = join(built, `${board.uid}.png`)
  await shoot(path, shot, { width: pageWidth, height: pageHeight(board.panels) })
  writeFileSync(picture, writePng(readPng(readFileSync(shot))))
  console.log(picture)
}

const infinite = "Infinity"
const boards = readBoards(root)
mkdirSync(pictures, { recursive: true })
if (!process.argv.includes("--redraw") || !existsSync(kept)) {
  const plain = (_: string, value: unknown) => (value === Number.POSITIVE_INFINITY ? infinite : value)
  writeFileSync(kept, JSON.stringify(await observe(boards), plain))
}
const answers = JSON.parse(readFileSync(kept, "utf8"), (_, value) =>
  value === infinite ? Number.POSITIVE_INFINITY : value,
) as Answers[]
for (const board of boards) {
  const found = answers.find(({ uid }) => uid === board.uid)
  if (found === undefined) throw new Error(`nothing is kept of ${board.uid}`)
  await drawBoard(board, found)
}
