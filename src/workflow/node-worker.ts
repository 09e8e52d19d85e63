import type { Stored } from "../backlog.ts"
import { DispatchReport } from "../dispatch-report.ts"
import { persist } from "../events/persist.ts"
import { PayloadTooLargeError, TaskoraError } from "../model/errors.ts"
import type { Dispatch } from "../model/observer.ts"
import type { Producer } from "../producer.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import { withLinks } from "../store/headers.ts"
import type { WorkflowKeys } from "../store/keys.ts"
import type { CancelReply } from "../store/replies.ts"
import { leaves, type Shape } from "./graph.ts"
import type { News, WorkflowStore } from "./workflow-store.ts"

/** The span of a run can be linked to no more. */
const mostLinks = 100

export interface NodeHost {
  readonly core: Core
  readonly codec: Codec
  readonly producer: (task: string) => Producer
  readonly cancel: (task: string, id: string, reason: string | undefined) => Promise<CancelReply["word"]>
}

/** A job's id says of which workflow and node it is. */
export function nodeJobId(id: string, node: string): string {
  return `${id}:${node}`
}

/** As `enqueue.lua` takes them. `planned`: delay,priority,version, then a tab before each further line. */
function nodeOptions(planned: string): string {
  const [first, ...lines] = planned.split("\t")
  const [delay, priority, version] = first!.split(",")
  if (version !== "1") lines.push(`v ${version}`)
  return [`${delay},${priority},1`, "n 1", ...lines].join("\n")
}

export function parseNodeJobId(jobId: string): { readonly id: string; readonly node: string } {
  const at = jobId.lastIndexOf(":")
  return { id: jobId.slice(0, at), node: jobId.slice(at + 1) }
}

/** Dispatches and cancels the jobs that a workflow's nodes are. */
export class NodeWorker {
  constructor(
    private readonly host: NodeHost,
    private readonly store: WorkflowStore,
  ) {}

  /** Returns what the workflow is to be told. @throws TaskoraError where the job could not be stored */
  async dispatch(node: {
    readonly id: string
    readonly node: string
    readonly keys: WorkflowKeys
    /** As `plan.lua` keeps it: task \n shape \n options \n data. */
    readonly spec: string
    readonly headers: string
  }): Promise<News> {
    const [task, shapeText, options, ...rest] = node.spec.split("\n") as [string, string, string, string]
    if (task === "") return { kind: "c", node: node.node, text: "\n" }
    const shape = shapeText === "" ? undefined : (JSON.parse(shapeText) as Shape)
    const data = shape === undefined ? rest.join("\n") : await this.input(node.keys, shape, task)
    const headers = shape === undefined ? node.headers : await this.linked(node, shape)
    await this.persistently(() =>
      this.add(task, { id: nodeJobId(node.id, node.node), options: nodeOptions(options), headers, data }),
    )
    return { kind: "q", node: node.node, text: "" }
  }

  /** Keeps the node's job from running, whether or not it was stored. Undefined where its end will be heard of. */
  async cancel(node: {
    readonly id: string
    readonly node: string
    readonly task: string
    readonly reason: string
  }): Promise<News | undefined> {
    const { task } = node
    const jobId = nodeJobId(node.id, node.node)
    const ended = async (): Promise<News | undefined> => {
      const outcome = (await this.store.outbox(task, [jobId])).get(jobId)
      return outcome === undefined ? undefined : { ...parseOutcome(outcome), node: node.node }
    }
    if (task === "") return { kind: "x", node: node.node, text: "\n" }
    const known = await ended()
    if (known) return known
    // First the bar, then the look: a dispatch that is still on its way comes to nothing, or is found.
    await this.store.bar(task, [jobId])
    const reason = "its workflow ended before it"
    const word = await this.host.cancel(task, jobId, reason)
    if (word === "requested") return undefined
    return (await ended()) ?? { kind: "x", node: node.node, text: `\n${JSON.stringify(reason)}` }
  }

  private async input(keys: WorkflowKeys, shape: Shape, task: string): Promise<string> {
    const { codec, core } = this.host
    const value = await this.store.value(keys, shape, `a result that task "${task}" takes`)
    const text = codec.encode(value, `data of a job of task "${task}"`)
    const bytes = Buffer.byteLength(text)
    if (bytes <= core.payloadBytes) return text
    throw new PayloadTooLargeError(
      `the results that a job of task "${task}" takes come to ${bytes} bytes; at most ${core.payloadBytes} are allowed (limits.payloadBytes)`,
      bytes,
      core.payloadBytes,
    )
  }

  /** Its run is linked to those that it builds upon. */
  private async linked(
    { keys, headers }: { readonly keys: WorkflowKeys; readonly headers: string },
    shape: Shape,
  ): Promise<string> {
    if (headers === "") return headers
    const runs = await this.store.read(keys, "runs", leaves(shape).slice(0, mostLinks))
    return withLinks(
      headers,
      runs.filter((run) => run !== ""),
    )
  }

  private add(
    task: string,
    job: { readonly id: string; readonly options: string; readonly headers: string; readonly data: string },
  ): Promise<void> {
    const { core, producer } = this.host
    const own = producer(task)
    const [delayMs, priority] = job.options.split(",", 2).map(Number) as [number, number]
    const dispatch: Dispatch = { task, id: job.id, count: 1, many: false, delayMs, priority }
    const report = core.observers.none ? undefined : new DispatchReport(1, dispatch, core)
    const bytes = Buffer.byteLength(job.data)
    return new Promise((resolve, reject) => {
      own.add({
        id: job.id,
        options: job.options,
        body: `${job.headers}\n${job.data}`,
        bytes,
        deadline: own.deadline(),
        stored(stored: Stored) {
          if (stored.enqueued) report?.stored(stored, bytes)
          resolve()
        },
        refused: reject,
      })
    })
  }

  /** A dispatch that could not be stored, or of which nothing is known, is made again: the id makes them one. */
  private async persistently(add: () => Promise<void>): Promise<void> {
    const { link } = this.host.core
    for (let tries = 0; ; tries++) {
      try {
        return await persist(link, add)
      } catch (error) {
        const passes = error instanceof TaskoraError && ["CONNECTION", "UNCONFIRMED"].includes(error.code)
        if (!passes || link.closed) throw error
        await link.untilUsable(tries)
      }
    }
  }
}

/** What a task's outbox says of a node, as its workflow is told of it. */
export function parseOutcome(outcome: string): { readonly kind: News["kind"]; readonly text: string } {
  return { kind: outcome[0] as News["kind"], text: outcome.slice(1) }
}
