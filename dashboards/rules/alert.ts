import { flow } from "../flow.ts"
import { overview } from "../overview.ts"
import { task } from "../task.ts"
import { workers } from "../workers.ts"

const boards = { overview, task, flow, workers }

/** An alert, and what somebody who is woken by it needs to know. */
export interface Alert {
  readonly name: string
  readonly expr: string
  readonly for: string
  /** critical: wakes somebody. warning: is seen in working hours. info: helps to explain the others. */
  readonly severity: "critical" | "warning" | "info"
  /** May hold Prometheus' templates. */
  readonly summary: string
  readonly description: string
  readonly runbook: {
    readonly meaning: string
    readonly look: readonly [string, string, string]
    readonly panels: readonly PanelName[]
    /** In a shell. */
    readonly command: string
    readonly thresholds: string
  }
}

export interface PanelName {
  readonly board: string
  readonly uid: string
  readonly title: string
}

/** A panel by its title; one that does not exist is an error. */
export function panelOf(name: keyof typeof boards, title: string): PanelName {
  const board = boards[name]
  const found = board.rows.some((row) => row.panels.some((panel) => panel.title === title))
  if (!found) throw new Error(`${board.title} has no panel "${title}".`)
  return { board: board.title, uid: board.uid, title }
}

/** A question to Prometheus in a shell: one process' own endpoint would not know the others. */
export function askFor(expr: string): string {
  return `promtool query instant http://localhost:9090 '${expr}'`
}

/** From the package's root. Where the runbooks are published is the user's to say. */
export function runbookUrl(name: string): string {
  return `docs/alerts.md#${name.toLowerCase()}`
}
