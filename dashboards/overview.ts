import { limits } from "./limits.ts"
import { atLeast, type Board, lines, neutral, rising, stat, table } from "./panel.ts"
import * as jobs from "./queries/jobs.ts"
import * as queue from "./queries/queue.ts"
import * as time from "./queries/time.ts"
import * as workers from "./queries/workers.ts"
import { uids } from "./uids.ts"

export const overview: Board = {
  uid: uids.overview,
  title: "Taskora / Overview",
  description: "Are we healthy? The first row answers; what follows says where to look.",
  tasks: "many",
  rows: [
    {
      title: "Are we healthy?",
      height: 5,
      panels: [
        stat("Throughput", jobs.throughput, neutral),
        stat("Failure ratio", jobs.failureRatio, rising(limits.failureRatio)),
        stat("Oldest job", queue.oldest, rising(limits.oldestSeconds)),
        stat("Waiting jobs", queue.depth, rising(limits.depth)),
        stat("Time to drain", queue.drain, rising(limits.drainSeconds)),
        stat("Stalled jobs", jobs.stalls, rising(limits.stalls), { instant: true }),
        stat("Workers", queue.workers, atLeast(1)),
        stat("Busy slots", workers.busyRatio, rising(limits.busyRatio)),
      ],
    },
    {
      title: "Flow",
      height: 8,
      panels: [
        lines("What happens to jobs", 12, jobs.flows, {
          description:
            "Transitions per second as the store counted them, in all processes, crashed and short-lived ones too. Dispatched above completed for long: the queue grows.",
        }),
        lines("Jobs in the queue", 12, [queue.depthByState], { stacked: true }),
      ],
    },
    {
      title: "By task",
      height: 8,
      panels: [
        lines("Completed by task", 12, [jobs.completedByTask]),
        lines("Failed by task", 12, [jobs.failedByTask]),
        lines("Waiting by task", 12, [queue.depthByTask]),
        lines("Oldest job by task", 12, [queue.oldestByTask], { colours: rising(limits.oldestSeconds) }),
      ],
    },
    {
      title: "Time",
      height: 8,
      panels: [
        lines("Wait for a slot", 8, time.waits),
        lines("Run time", 8, time.durations),
        lines("From dispatch to done", 8, time.totals),
      ],
    },
    {
      title: "Where to look",
      height: 9,
      panels: [
        table(
          "Top failing tasks",
          12,
          [jobs.failureRatioByTask, jobs.failedRateByTask],
          [{ name: "Failure ratio", colours: rising(limits.failureRatio) }, { name: "Failed" }],
        ),
        table("Slowest tasks", 12, [time.slowest], [{ name: "Run time, p95" }]),
      ],
    },
  ],
}
