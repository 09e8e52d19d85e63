import { limits } from "./limits.ts"
import { type Board, lines, neutral, rising, stat } from "./panel.ts"
import * as control from "./queries/control.ts"
import * as schedules from "./queries/schedules.ts"
import * as workflows from "./queries/workflows.ts"
import { uids } from "./uids.ts"

export const flow: Board = {
  uid: uids.flow,
  title: "Taskora / Flow",
  description:
    "What decides when jobs run and what follows from them: flow control, schedules, workflows, and what is left of those that failed.",
  tasks: "many",
  rows: [
    {
      title: "Now",
      height: 5,
      panels: [
        stat("Rejected dispatches", control.rejected, neutral, { instant: true }),
        stat("Parked jobs", control.parkedJobs, rising(limits.depth)),
        stat("Paused tasks", control.pausedTasks, rising(limits.pausedTasks)),
        stat("Slots missed", schedules.missed, rising(limits.slotsMissed), { instant: true }),
        stat("Schedules late, p95", schedules.latenessP95, rising(limits.latenessSeconds)),
        stat("Active workflows", workflows.active, neutral),
        stat("Workflows failed", workflows.failureRatio, rising(limits.failureRatio)),
        stat("Dead letters", control.dying, neutral, { instant: true }),
      ],
    },
    {
      title: "Flow control",
      height: 8,
      panels: [
        lines("Rejected by reason", 6, [control.refused]),
        lines("Expired by task", 6, [control.expired]),
        lines("Parked by task", 6, [control.parkedByTask]),
        lines("Paused by task", 6, [control.pausedByTask], { highest: 1 }),
      ],
    },
    {
      title: "Schedules",
      height: 8,
      panels: [
        lines("How late schedules fire", 8, schedules.lateness),
        lines("Slots left out", 8, [schedules.missedBySchedule, schedules.skippedBySchedule]),
        lines("Time to the next run", 8, [schedules.next]),
      ],
    },
    {
      title: "Workflows",
      height: 8,
      panels: [
        lines("What happens to workflows", 8, workflows.flows),
        lines("Workflows that have not ended", 8, [workflows.active]),
        lines("From dispatch to end", 8, workflows.durations),
      ],
    },
    {
      title: "Dead letters",
      height: 8,
      panels: [lines("Failed for good, and revived", 24, [control.lettersByTask, control.revivedByTask])],
    },
  ],
}
