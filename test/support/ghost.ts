import { Observers } from "../../src/model/observers.ts"
import { Lane } from "../../src/store/lane.ts"
import { Link } from "../../src/store/link.ts"
import { scripts } from "../../src/store/scripts.ts"
import type { Adapter } from "../../src/store/store.ts"

/**
 * Claims a task's next jobs as a worker would that vanishes right afterwards: nobody renews their leases. Returns their
 * ids.
 */
export async function claimAndVanish(
  adapter: Adapter,
  task: string,
  leaseMs = 1,
  jobs = 1,
): Promise<string[]> {
  const link = new Link(adapter, {
    observers: new Observers([], () => {}),
    listeners: { lost() {}, back() {}, message() {} },
  })
  await link.connect()
  const reply = await new Lane(link, "s0").call(
    scripts.settle,
    link.keys(task),
    {
      instance: link.instance,
      want: jobs,
      woken: 0,
      singleton: 0,
      lease: leaseMs,
      attempts: 1,
      keepCompleted: 100,
      keepFailed: 100,
      maxlen: 1000,
      inline: 1024,
      version: 1,
    },
    [],
  )
  await link.close()
  return reply.claimed.map(({ id }) => id)
}
