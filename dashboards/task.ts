import { limits } from "./limits.ts"
import { atLeast, type Board, heatmap, lines, neutral, rising, stat, table } from "./panel.ts"
import * as jobs from "./queries/jobs.ts"
import * as queue from "./queries/queue.ts"
import * as store from "./queries/store.ts"
import * as time from "./queries/time.ts"
import * as workers from "./queries/workers.ts"
import { uids } from "./uids.ts"

export const task: Board = {
  uid: uids.task,
  title: "Taskora / Task",
  description:
    "One task in depth: what happens to its jobs, how long it takes, what fails, and what was promised.",
  tasks: "one",
  rows: [
    {
      title: "Now",
      height: 5,
      panels: [
        stat("Throughput", jobs.throughput, neutral),
        stat("Failure ratio", jobs.failureRatio, rising(limits.failureRatio)),
        stat("Oldest job", queue.oldest, rising(limits.oldestSeconds)),
        stat("Waiting jobs", queue.depth, rising(limits.depth)),
        stat("Time to drain", queue.drain, rising(limits.drainSeconds)),
        stat("Active jobs", queue.activeJobs, neutral),
        stat("Workers", queue.taskWorkers, atLeast(1)),
        stat("Busy slots", workers.busyRatio, rising(limits.busyRatio)),
      ],
    },
    {
      title: "Flow",
      height: 8,
      panels: [
        lines("What happens to jobs", 12, jobs.flows, {
          description:
            "Transitions of this task per second, as the store counted them in all processes. Started above dispatched: retries or stalls.",
        }),
        lines("Jobs in the queue", 12, [queue.depthByState], { stacked: true }),
      ],
    },
    {
      title: "Time",
      height: 8,
      panels: [
        heatmap("Run time", 12, time.durationMap),
        heatmap("Wait for a slot", 12, time.waitMap),
        lines("Run time, percentiles", 8, time.durations),
        lines("Wait, percentiles", 8, time.waits),
        lines("From dispatch to done", 8, time.totals),
      ],
    },
    {
      title: "Failures",
      height: 8,
      panels: [
        lines("Failed attempts by error", 12, [jobs.attemptsFailedByError]),
        lines("Failed jobs by cause", 12, [jobs.failedByCause]),
        lines("Failed attempts by what follows", 8, [jobs.attemptsFailedByRetry]),
        lines("How attempts end", 8, [time.runs]),
        lines("Attempts per job", 8, [jobs.attemptsPerJob]),
      ],
    },
    {
      title: "Objectives",
      height: 8,
      panels: [
        lines("Objectives met", 9, [queue.objectivesMet, queue.objectiveTargets], { highest: 1 }),
        lines("Burn rate", 9, [queue.burnRate], { colours: rising(limits.burnRate) }),
        {
          kind: "stat",
          title: "Error budget left",
          width: 6,
          queries: [queue.budgetLeft],
          colours: {
            steps: [
              { from: null, colour: "red" },
              { from: 0, colour: "yellow" },
              { from: 0.25, colour: "green" },
            ],
          },
          instant: true,
        },
      ],
    },
    {
      title: "Data",
      height: 8,
      panels: [
        lines("Payload size", 8, time.sizes),
        lines("Progress reports", 8, [jobs.progress]),
        lines("Rejected dispatches", 8, [jobs.rejectedByReason]),
        table("Who owns it", 24, [store.owners], []),
      ],
    },
  ],
}
