import type { Backlog } from "./backlog.ts"
import type { Connection } from "./connection.ts"
import type { EventHub } from "./events/hub.ts"
import { within } from "./model/clock.ts"
import type { Scheduling } from "./scheduling.ts"
import type { Core } from "./store/core.ts"
import type { Worker } from "./worker/worker.ts"
import type { Workflows } from "./workflow/workflows.ts"

/** How long after its own timeout `close()` may last at the most, for what must still be told. */
const closeGraceMs = 1900

/** The parts of an app that come to an end. */
export interface Parts {
  readonly core: Core
  readonly hub: EventHub
  readonly scheduling: Scheduling
  readonly worker: Worker
  readonly workflows: Workflows
  readonly backlog: Backlog
  readonly connection: Connection
  /** What `start()` returned, where it was called. */
  readonly began: Promise<void> | undefined
}

/** Ends an app's parts, one after the other, each in its time. */
export async function endApp(parts: Parts, timeoutMs: number): Promise<void> {
  const { core, hub, scheduling, worker, workflows, backlog, connection, began } = parts
  const { clock } = core.link
  const deadline = clock.monotonic() + timeoutMs + closeGraceMs
  const left = (most: number) => Math.max(1, Math.min(most, deadline - clock.monotonic()))
  const bounded = (promise: Promise<void>, most: number) =>
    within(clock, promise, { ms: left(most), late: () => undefined })
  const timeoutLeft = () => Math.max(0, deadline - closeGraceMs - clock.monotonic())
  if (began) {
    // Whoever called start() hears of its failure.
    await bounded(
      began.catch(() => undefined),
      timeoutMs + 1000,
    )
    core.observers.transition({ kind: "worker closing" })
    hub.app.emit("worker:closing", undefined)
  }
  const scheduled = scheduling.stop()
  await worker.close(timeoutLeft())
  // What ended here is brought to its workflows; what is not, other processes find.
  await workflows.close(left(1000))
  // What was taken is dispatched, here or by another process.
  await bounded(scheduled, 500)
  // Handlers may dispatch to their end.
  await bounded(backlog.emptied(), timeoutLeft() + 500)
  connection.stop()
  await bounded(told(worker, hub), 500)
  hub.stop()
  if (began) core.observers.transition({ kind: "worker closed" })
  await bounded(core.observers.close(), 1000)
  await bounded(core.link.close(), 500)
}

/** Every event of our own is delivered. */
async function told(worker: Worker, hub: EventHub): Promise<void> {
  await Promise.all(
    [...worker.slots].map((slots) => hub.reader.reached(slots.definition.name, slots.lastSeq)),
  )
}
