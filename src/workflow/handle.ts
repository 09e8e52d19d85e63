import { within } from "../model/clock.ts"
import { type Deferred, deferred } from "../model/deferred.ts"
import { type Duration, durationMs, show } from "../model/duration.ts"
import { type TaskoraError, TimeoutError } from "../model/errors.ts"
import {
  type EventMeta,
  type WorkflowEventName,
  type WorkflowEvents,
  workflowEventNames,
} from "../model/events.ts"
import { checkNames, invalid } from "../model/options.ts"
import type { Core } from "../store/core.ts"
import type { WorkflowState } from "../store/workflow-replies.ts"

/** A workflow as it stands: its jobs, and which waits for which. */
export interface WorkflowGraph {
  readonly id: string
  readonly name: string
  readonly state: WorkflowState
  readonly nodes: readonly WorkflowNode[]
}

export interface WorkflowNode {
  /** The job's id. */
  readonly id: string
  readonly task: string
  /** waiting: for others; ready: about to be dispatched; dispatched: its job waits or runs; skipped: it will never run. */
  readonly state:
    | "waiting"
    | "ready"
    | "dispatched"
    | "completed"
    | "failed"
    | "cancelled"
    | "expired"
    | "skipped"
  /** Ids of the jobs that it waits for. */
  readonly dependsOn: readonly string[]
}

/** What the handles need of the app. */
export interface WorkflowHost {
  readonly core: Core
  result(id: string): Promise<unknown>
  state(id: string): Promise<WorkflowState | undefined>
  graph(id: string): Promise<WorkflowGraph | undefined>
  cancel(id: string, reason: string | undefined): Promise<"cancelled" | "requested" | "finished">
  on(id: string, event: WorkflowEventName, listener: (payload: never, meta: EventMeta) => unknown): () => void
}

/** A workflow that was dispatched. Awaiting the handle gives its id once it is stored. */
export class WorkflowHandle<Out = unknown> implements PromiseLike<string> {
  private readonly stored: Deferred<void> = deferred()
  private outcome: Promise<Out> | undefined
  private asked = false

  /** @internal */
  constructor(
    readonly id: string,
    private readonly host: WorkflowHost,
  ) {}

  /**
   * What the last jobs of the workflow gave. Rejects with WorkflowFailedError, CancelledError, ExpiredError, or
   * JobGoneError an hour after its end.
   */
  get result(): Promise<Out> {
    this.asked = true
    if (!this.outcome) {
      this.outcome = this.stored.promise.then(() => this.host.result(this.id) as Promise<Out>)
      // Whoever asks and then does not look must not bring the process down.
      this.outcome.catch(() => undefined)
    }
    return this.outcome
  }

  /** As `result`, but at most this long. @throws TimeoutError after that; the workflow goes on */
  waitFor(timeout: Duration): Promise<Out> {
    const ms = durationMs(timeout, "waitFor")
    return within(this.host.core.link.clock, this.result, {
      ms,
      late: () => {
        throw new TimeoutError(`workflow ${this.id} did not end within ${ms} ms; it goes on`)
      },
    })
  }

  /** Undefined where the workflow is unknown, or ended more than an hour ago. */
  async getState(): Promise<WorkflowState | undefined> {
    await this
    return this.host.state(this.id)
  }

  /** Its jobs and their states; read in pages, so a graph of thousands is no single moment. */
  async getGraph(): Promise<WorkflowGraph | undefined> {
    await this
    return this.host.graph(this.id)
  }

  /** Cancels what has not run yet; what runs is asked to end. `finished`: there was nothing left to cancel. */
  async cancel(options: { readonly reason?: string } = {}): Promise<"cancelled" | "requested" | "finished"> {
    checkNames(options, ["reason"], "cancel")
    await this
    return this.host.cancel(this.id, options.reason)
  }

  /** This workflow's end. Returns what takes the listener off. */
  on<K extends WorkflowEventName>(
    event: K,
    listener: (payload: WorkflowEvents<Out>[K], meta: EventMeta) => unknown,
  ): () => void {
    if (!workflowEventNames.includes(event))
      throw invalid(`a workflow has no event ${show(event)}; it has ${workflowEventNames.join(", ")}`)
    return this.host.on(this.id, event, listener as never)
  }

  // biome-ignore lint/suspicious/noThenProperty: awaiting a handle is how its dispatch is confirmed
  then<A = string, B = never>(
    fulfilled?: ((id: string) => A | PromiseLike<A>) | null,
    rejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.asked = true
    return this.stored.promise.then(() => this.id).then(fulfilled, rejected)
  }

  /** @internal */
  resolve(): void {
    this.stored.resolve()
  }

  /** @internal */
  reject(error: TaskoraError): void {
    this.stored.reject(error)
    // As with a job's handle: the error of a dispatch that nobody asked about must not vanish.
    setImmediate(() => {
      if (!this.asked) this.host.core.report(error, "dispatch")
    })
  }
}
