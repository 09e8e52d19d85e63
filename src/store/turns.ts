import { Lane, type Patience } from "./lane.ts"
import type { Link } from "./link.ts"

/** One lane for each task, in which calls go one after the other, each in its turn and for a limited time. */
export class Turns {
  private readonly lanes = new Map<string, { readonly lane: Lane; turn: Promise<unknown> }>()

  constructor(
    private readonly link: Link,
    private readonly kind: string,
    private readonly patienceMs: number,
  ) {}

  /** Makes a call in the task's lane, when those before it have been answered or given up. */
  take<T>(task: string, call: (lane: Lane, patience: Patience) => Promise<T>): Promise<T> {
    let own = this.lanes.get(task)
    if (!own) {
      own = { lane: new Lane(this.link, this.kind), turn: Promise.resolve() }
      this.lanes.set(task, own)
    }
    const { lane } = own
    const made = own.turn.then(() => call(lane, this.patience()))
    // The next one goes on whatever becomes of this one, whose caller hears of it.
    own.turn = made.catch(() => undefined)
    return made
  }

  private patience(): Patience {
    const { clock } = this.link
    const deadline = clock.monotonic() + this.patienceMs
    const leftMs = () => deadline - clock.monotonic()
    return { leftMs, ended: () => leftMs() <= 0 }
  }
}
