import { dispatchError, patienceMs } from "../dispatch-errors.ts"
import type { EventHub } from "../events/hub.ts"
import { within } from "../model/clock.ts"
import { durationMs, show } from "../model/duration.ts"
import { JobGoneError } from "../model/errors.ts"
import type { EventMeta, WorkflowEventName } from "../model/events.ts"
import { newId } from "../model/names.ts"
import { checkNames, invalid } from "../model/options.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import { decodeHeaders, encodeHeaders } from "../store/headers.ts"
import { type WorkflowKeys, workflowsTask } from "../store/keys.ts"
import type { AdvanceReply } from "../store/workflow-replies.ts"
import type { Dispatcher, Form, WorkflowOptions } from "./composition.ts"
import { Conductor } from "./conductor.ts"
import { WorkflowFollower } from "./follower.ts"
import { type Graph, layOut } from "./graph.ts"
import { WorkflowHandle, type WorkflowHost } from "./handle.ts"
import { endError, messageOf, workflowName } from "./names.ts"
import { type NodeHost, NodeWorker, parseNodeJobId, parseOutcome } from "./node-worker.ts"
import { storePlan } from "./plan.ts"
import { readGraph } from "./read-graph.ts"
import { leaseMs, type News, WorkflowStore } from "./workflow-store.ts"

const leftBehindMs = 2000
const longestNap = 5000
/** While there are workflows: one that has just been dispatched may expire soon. */
const busyNap = 1000

/** The workflows of an app: dispatches them, carries what becomes of their nodes, and looks after what others left. */
export class Workflows implements Dispatcher, WorkflowHost {
  readonly core: Core
  private readonly codec: Codec
  private readonly store: WorkflowStore
  private readonly conductor: Conductor
  private readonly followers = new Map<string, WorkflowFollower>()
  /** Ids of jobs that just ended, by task, until the turn is over. */
  private readonly endedNodes = new Map<string, Set<string>>()
  /** Workflows that want another look, from when on, monotonic ms. */
  private readonly again = new Map<string, number>()
  private nap: unknown
  private stopped = false

  constructor(
    private readonly host: NodeHost & {
      readonly hub: EventHub
      readonly ready: () => Promise<void>
      readonly validateOnDispatch: boolean
    },
  ) {
    this.core = host.core
    this.codec = host.codec
    this.store = new WorkflowStore(host.core, host.codec)
    this.conductor = new Conductor(this.store, {
      nodes: new NodeWorker(host, this.store),
      ended: (id, keys, reply) => this.conclude(id, keys, reply),
    })
    host.hub.declare(workflowsTask)
  }

  dispatch(form: Form, options: WorkflowOptions): WorkflowHandle {
    checkNames(options, ["ttl", "name"], "dispatch of a workflow")
    const ttlMs = options.ttl === undefined ? undefined : durationMs(options.ttl, "workflow: ttl", 1)
    const graph = layOut(form)
    const name = workflowName(options.name, graph)
    const id = newId()
    const handle = new WorkflowHandle(id, this)
    const { observers } = this.core
    const dispatch = {
      task: name,
      id,
      count: graph.nodes.length,
      many: false,
      delayMs: 0,
      priority: 0,
      workflow: true as const,
    }
    const headers = observers.none ? undefined : observers.dispatching(dispatch)
    const own = Array.isArray(headers) ? headers[0] : headers
    this.begin(id, { graph, name, ttlMs, headers: encodeHeaders(own, undefined) }).then(
      () => {
        handle.resolve()
        observers.transition({ kind: "workflow started", dispatch })
      },
      (thrown: unknown) => {
        const error = dispatchError(thrown, 1, this.core)
        handle.reject(error)
        observers.transition({ kind: "workflow refused", dispatch, error })
      },
    )
    return handle
  }

  /** A job ended that is a node of a workflow. */
  nodeEnded(task: string, id: string): void {
    let ids = this.endedNodes.get(task)
    if (!ids) {
      ids = new Set()
      this.endedNodes.set(task, ids)
      setImmediate(() => {
        const all = [...(this.endedNodes.get(task) ?? [])]
        this.endedNodes.delete(task)
        this.carrying(this.carry(task, all))
      })
    }
    ids.add(id)
  }

  /** The task's outbox holds what somebody may have left behind. */
  leftBehind(task: string): void {
    this.carrying(this.carry(task, []))
  }

  /** Looks after workflows from time to time; for processes that run workers. */
  start(): void {
    this.patrol().catch((error: unknown) => this.troubled(error))
  }

  /** Resolves when what is under way has been carried on, or after `ms`. */
  async close(ms: number): Promise<void> {
    this.stopped = true
    this.core.link.clock.clearTimeout(this.nap)
    await within(this.core.link.clock, this.drained(), { ms, late: () => undefined })
  }

  async result(id: string): Promise<unknown> {
    const keys = this.store.keys(id)
    await this.follower(id).end()
    const head = await this.store.head(keys)
    if (!head) throw new JobGoneError(`workflow ${id} is unknown, or it ended more than an hour ago`)
    if (head.state === "completed") return this.store.value(keys, head.result, `result of workflow ${id}`)
    throw endError(id, head)
  }

  async state(id: string) {
    return (await this.store.head(this.store.keys(id)))?.state
  }

  async graph(id: string) {
    return readGraph(id, this.store)
  }

  async cancel(id: string, reason: string | undefined): Promise<"cancelled" | "requested" | "finished"> {
    if (reason !== undefined && typeof reason !== "string")
      throw invalid(`cancel: reason must be text, not ${show(reason)}`)
    const before = await this.state(id)
    if (before === undefined || before === "completed" || before === "failed") return "finished"
    const text = reason === undefined ? "" : JSON.stringify(reason)
    await this.conductor.tell(id, [{ kind: "stop", node: "0", text }])
    const after = await this.state(id)
    if (after === "cancelled") return "cancelled"
    return after === "cancelling" ? "requested" : "finished"
  }

  on(
    id: string,
    event: WorkflowEventName,
    listener: (payload: never, meta: EventMeta) => unknown,
  ): () => void {
    return this.follower(id).on(event, listener)
  }

  private async begin(
    id: string,
    plan: { graph: Graph; name: string; ttlMs: number | undefined; headers: string },
  ): Promise<void> {
    const { link } = this.core
    const deadline = link.clock.monotonic() + patienceMs
    const patience = {
      leftMs: () => deadline - link.clock.monotonic(),
      ended: () => deadline <= link.clock.monotonic(),
    }
    await this.host.ready()
    await storePlan(this.store.keys(id), plan, {
      core: this.core,
      codec: this.codec,
      validateOnDispatch: this.host.validateOnDispatch,
      patience,
    })
    await this.store.enrol(id, plan, patience)
    this.carrying(this.conductor.tell(id, []))
    if (this.nap !== undefined) this.rest(busyNap)
  }

  /** Brings what became of jobs to their workflows, and forgets it once they know. */
  private async carry(task: string, ids: readonly string[]): Promise<void> {
    const before = Math.floor(this.core.link.serverNow()) - leftBehindMs
    const outcomes = await this.store.outbox(task, ids, before)
    const byWorkflow = new Map<string, { jobIds: string[]; news: News[] }>()
    for (const [jobId, outcome] of outcomes) {
      const { id, node } = parseNodeJobId(jobId)
      const of = byWorkflow.get(id) ?? { jobIds: [], news: [] }
      byWorkflow.set(id, of)
      of.jobIds.push(jobId)
      of.news.push({ ...parseOutcome(outcome), node })
    }
    await Promise.all(
      [...byWorkflow].map(async ([id, { jobIds, news }]) => {
        await this.conductor.tell(id, news)
        await this.store.deliver(task, jobIds)
        if (ids.length === 0) this.lookAgain(id)
      }),
    )
    const rest = ids.filter((id) => !outcomes.has(id))
    if (outcomes.size > 0 && (rest.length > 0 || (ids.length === 0 && outcomes.size === 100)))
      await this.carry(task, rest)
  }

  /** Whoever left something behind may have been given nodes to dispatch, which nobody else gets before their time is up. */
  private lookAgain(id: string): void {
    this.again.set(id, this.core.link.clock.monotonic() + leaseMs)
  }

  private async conclude(id: string, keys: WorkflowKeys, reply: AdvanceReply): Promise<void> {
    if (reply.state === "gone") {
      await this.store.conclude(id, { state: "g", outcome: "", text: "" })
      return
    }
    const { error } = reply
    const letter = reply.state === "completed" ? "c" : reply.state === "failed" ? "f" : "x"
    const text =
      letter === "c" ? await this.store.inlineResult(id, keys) : letter === "f" ? messageOf(error) : error
    const done = await this.store.conclude(id, { state: letter, outcome: error, text })
    if (!done.concluded) return
    const { name } = reply
    const outcome = reply.state as "completed" | "failed" | "cancelled"
    this.core.observers.transition({
      kind: "workflow ended",
      id,
      name,
      outcome,
      headers: decodeHeaders(reply.headers).headers,
      durationMs: done.durationMs,
    })
  }

  private async patrol(): Promise<void> {
    const { clock, closed } = this.core.link
    if (this.stopped || closed) return
    let ms = longestNap
    try {
      const { ids, at, next } = await this.store.patrol()
      for (const [id, from] of this.again) if (from <= clock.monotonic()) ids.push(id)
      for (const id of ids) this.again.delete(id)
      await Promise.all(ids.map((id) => this.conductor.tell(id, [])))
      if (next !== undefined) ms = Math.max(50, Math.min(busyNap, next - at))
      if (ids.length >= 20) ms = 0
    } catch (error) {
      this.troubled(error)
    }
    this.rest(ms)
  }

  private rest(ms: number): void {
    const { clock } = this.core.link
    clock.clearTimeout(this.nap)
    if (!this.stopped) this.nap = clock.setTimeout(() => void this.patrol(), ms, false, ms > 0)
  }

  private follower(id: string): WorkflowFollower {
    let follower = this.followers.get(id)
    if (!follower) {
      follower = new WorkflowFollower(id, {
        hub: this.host.hub,
        isOver: async () => {
          const state = await this.state(id)
          return state === undefined || state === "completed" || state === "failed" || state === "cancelled"
        },
        failed: (error) => this.core.report(error, "listener"),
        gone: () => this.followers.delete(id),
      })
      this.followers.set(id, follower)
    }
    return follower
  }

  private readonly underWay = new Set<Promise<void>>()

  /** What fails here is carried on by the next one who looks: nothing is lost, so it is only told. */
  private carrying(work: Promise<void>): void {
    const own = work
      .catch((error: unknown) => this.troubled(error))
      .finally(() => {
        this.underWay.delete(own)
      })
    this.underWay.add(own)
  }

  private async drained(): Promise<void> {
    while (this.underWay.size > 0) await Promise.all(this.underWay)
    await this.conductor.drained()
  }

  private troubled(error: unknown): void {
    const { link } = this.core
    if (link.closed || this.stopped || !link.connected()) return
    this.core.report(error, "script")
  }
}
