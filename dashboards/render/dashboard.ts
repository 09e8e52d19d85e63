import * as grafana from "@grafana/grafana-foundation-sdk/dashboard"
import type { Board } from "../panel.ts"
import { uids } from "../uids.ts"
import { render } from "./panels.ts"
import { panelScope, variables } from "./variables.ts"

const columns = 24
const tag = "taskora"

/** One dashboard in Grafana's classic form. */
export function dashboard(board: Board): grafana.Dashboard {
  const built = new grafana.DashboardBuilder(board.title)
    .uid(board.uid)
    .description(board.description)
    .tags([tag])
    .readonly()
    .tooltip(grafana.DashboardCursorSync.Crosshair)
    .time({ from: "now-1h", to: "now" })
    .refresh("30s")
    .variables(variables(board.tasks))
    .links(otherBoards(board.uid))
    .build()
  return { ...built, panels: lay(board), links: (built.links ?? []).map(inTheBar) }
}

/** The builder's own layout runs over the right edge and gives no ids. */
function lay({ rows, tasks }: Board): NonNullable<grafana.Dashboard["panels"]> {
  const scope = panelScope(tasks)
  const panels: NonNullable<grafana.Dashboard["panels"]> = []
  let y = 0
  for (const { title, height, panels: those } of rows) {
    const head = new grafana.RowBuilder(title).id(panels.length + 1).build()
    panels.push({ ...head, gridPos: { x: 0, y, w: columns, h: 1 } })
    y += 1
    let x = 0
    for (const panel of those) {
      if (x + panel.width > columns) {
        x = 0
        y += height
      }
      const gridPos = { x, y, w: panel.width, h: height }
      panels.push({ ...render(panel, scope), id: panels.length + 1, gridPos })
      x += panel.width
    }
    y += height
  }
  return panels
}

function otherBoards(own: string): grafana.DashboardLinkBuilder[] {
  const titles = { overview: "Overview", task: "Task", flow: "Flow", workers: "Workers & Redis" }
  return Object.entries(uids)
    .filter(([, uid]) => uid !== own)
    .map(([name, uid]) =>
      new grafana.DashboardLinkBuilder(titles[name as keyof typeof uids])
        .type(grafana.DashboardLinkType.Link)
        .icon("dashboard")
        .tooltip("The same choices and the same time there")
        .url(`/d/${uid}`)
        .includeVars(true)
        .keepTime(true),
    )
}

/** The builder places links in a menu that older versions of Grafana do not have. */
function inTheBar({ placement: _, ...link }: grafana.DashboardLink): grafana.DashboardLink {
  return link
}
