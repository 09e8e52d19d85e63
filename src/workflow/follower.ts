import type { Delivery } from "../events/delivery.ts"
import type { EventHub, Follower } from "../events/hub.ts"
import { type Deferred, deferred } from "../model/deferred.ts"
import type { EventMeta, WorkflowEventName } from "../model/events.ts"
import { closedError } from "../store/failure.ts"
import { workflowsTask } from "../store/keys.ts"
import type { StreamEvent } from "../store/stream.ts"

type Listener = (payload: never, meta: EventMeta) => unknown

/** Waits for one workflow's end: settles a promise, and tells listeners. */
export class WorkflowFollower implements Follower {
  private readonly ended: Deferred<void> = deferred()
  private readonly listeners = new Map<WorkflowEventName, Set<Listener>>()
  private following: Promise<void> | undefined
  private over = false

  constructor(
    readonly id: string,
    private readonly around: {
      readonly hub: EventHub
      /** Whether it has ended already, as the store says. */
      readonly isOver: () => Promise<boolean>
      readonly failed: (error: unknown) => void
      readonly gone: () => void
    },
  ) {}

  /** Resolves when the workflow has ended, or is not known any more. */
  async end(): Promise<void> {
    this.follow()
    await this.ended.promise
  }

  on(event: WorkflowEventName, listener: Listener): () => void {
    const set = this.listeners.get(event) ?? new Set()
    this.listeners.set(event, set.add(listener))
    this.follow()
    return () => {
      set.delete(listener)
    }
  }

  hear({ name, payload, meta }: Delivery): void {
    for (const listener of [...(this.listeners.get(name as WorkflowEventName) ?? [])])
      this.call(listener, payload, meta)
    this.finish()
  }

  missed(_event: StreamEvent, _error: Error): void {
    this.finish()
  }

  lookAgain(): void {
    this.look().catch((error: unknown) => this.fail(error))
  }

  closed(): void {
    this.fail(closedError())
  }

  private follow(): void {
    // The stream first, then a look: an end between the two is heard.
    this.following ??= this.around.hub
      .follow(workflowsTask, this)
      .then(() => this.look())
      .catch((error: unknown) => this.fail(error))
  }

  private async look(): Promise<void> {
    if (!this.over && (await this.around.isOver())) this.finish()
  }

  private call(listener: Listener, payload: unknown, meta: EventMeta): void {
    try {
      const returned = listener(payload as never, meta)
      if (returned instanceof Promise) returned.catch(this.around.failed)
    } catch (error) {
      this.around.failed(error)
    }
  }

  private fail(error: unknown): void {
    this.ended.reject(error as Error)
    this.leave()
  }

  private finish(): void {
    this.ended.resolve()
    this.leave()
  }

  private leave(): void {
    if (this.over) return
    this.over = true
    this.around.hub.unfollow(workflowsTask, this)
    this.around.gone()
  }
}
