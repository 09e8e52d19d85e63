import { limits } from "./limits.ts"
import { atLeast, type Board, lines, neutral, rising, stat } from "./panel.ts"
import * as queue from "./queries/queue.ts"
import * as store from "./queries/store.ts"
import * as of from "./queries/workers.ts"
import { uids } from "./uids.ts"

const upOrDown = { "0": { text: "down", colour: "red" }, "1": { text: "up", colour: "green" } }

export const workers: Board = {
  uid: uids.workers,
  title: "Taskora / Workers & Redis",
  description: "The processes that do the work, the store between them, and what they tell each other.",
  tasks: "many",
  rows: [
    {
      title: "Now",
      height: 5,
      panels: [
        stat("Store", store.up, atLeast(1), { words: upOrDown }),
        stat("Workers", queue.workers, atLeast(1)),
        stat("Slots", of.totalSlots, neutral),
        stat("Busy slots", of.busyRatio, rising(limits.busyRatio)),
        stat("Leases lost", of.leasesLost, rising(limits.leasesLost), { instant: true }),
        stat("Store calls, p99", store.callP99, rising(limits.callSeconds)),
        stat("Event lag, p95", store.eventLagP95, rising(limits.eventLagSeconds)),
        stat("Events lost", store.eventsLost, rising(limits.eventsLost), { instant: true }),
      ],
    },
    {
      title: "Slots",
      height: 8,
      panels: [
        lines("Slots by state", 8, [of.slots], { stacked: true }),
        lines("Busy slots by process", 8, [of.busyByInstance], { highest: 1 }),
        lines("Busy slots by task", 8, [of.busyByTask], { highest: 1 }),
      ],
    },
    {
      title: "Workers come and go",
      height: 8,
      panels: [
        lines("Live workers", 6, [queue.workers]),
        lines("Started and gone", 6, [of.starts, of.gone]),
        lines("Time since start", 6, [of.uptime]),
        lines("Versions", 6, [store.versions], { stacked: true }),
      ],
    },
    {
      title: "Stalls",
      height: 8,
      panels: [
        lines("Stalled jobs by what followed", 6, [of.stallsByAction]),
        lines("Leases lost by task", 6, [of.leasesLostByTask]),
        lines("Time to recover", 6, of.recovery),
        lines("Worker errors", 6, [of.errors]),
      ],
    },
    {
      title: "Redis",
      height: 8,
      panels: [
        lines("Store calls, p95 by script", 8, [store.callP95]),
        lines("Store calls by script", 8, [store.calls]),
        lines("Store up by process", 8, [store.upByInstance], { highest: 1 }),
      ],
    },
    {
      title: "Events",
      height: 8,
      panels: [
        lines("Event lag", 6, store.eventLag),
        lines("Events delivered and lost", 6, [store.eventsDelivered, store.eventsLostByTask]),
        lines("Observer errors", 6, [store.observerErrors]),
        lines("Labels that ran over", 6, [store.overflows]),
      ],
    },
    {
      title: "Runtime",
      height: 8,
      panels: [
        lines("Event loop delay", 8, [of.loopDelayP99, of.loopDelayP50], {
          colours: rising(limits.loopDelaySeconds),
        }),
        lines("Event loop utilization", 8, [of.loopUtilization], { highest: 1 }),
        lines("Heap", 8, [of.heapUsed, of.heapAllocated]),
      ],
    },
  ],
}
