import type { Backlog } from "./backlog.ts"
import { Producer } from "./producer.ts"
import type { Core } from "./store/core.ts"
import type { Seat } from "./worker/seat.ts"

/** The producers of an app, one for each task: the lanes of a task are the process's, whoever dispatches. */
export class Producers {
  private readonly all = new Map<string, Producer>()

  constructor(
    private readonly host: {
      readonly core: Core
      readonly backlog: Backlog
      /** Undefined when nothing stands in the way of sending. */
      readonly ready: (task: string) => Promise<void> | undefined
      readonly seat: (task: string) => Seat | undefined
    },
  ) {}

  /** A node of a workflow may be of a task that this app does not declare. */
  of(task: string): Producer {
    let producer = this.all.get(task)
    if (!producer) {
      const { core, backlog, ready, seat } = this.host
      producer = new Producer(task, { core, backlog, ready: () => ready(task), seat: () => seat(task) })
      this.all.set(task, producer)
    }
    return producer
  }
}
