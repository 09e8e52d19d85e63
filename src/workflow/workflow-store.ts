import { persist } from "../events/persist.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import { type WorkflowKeys, workflowKeys, workflowsTask } from "../store/keys.ts"
import { Lane } from "../store/lane.ts"
import { scripts } from "../store/scripts.ts"
import type { AdvanceReply, ConcludeReply, WorkflowState } from "../store/workflow-replies.ts"
import { fill, leaves, type Shape } from "./graph.ts"

/** Something that a workflow is told of one of its nodes; see `lua/advance.lua`. */
export interface News {
  readonly kind: "c" | "f" | "x" | "e" | "q" | "stop"
  readonly node: string
  /** Of c, f, x, e: the run's traceparent, a newline, and the result, error or reason. */
  readonly text: string
}

/** What a workflow says of itself. */
export interface WorkflowHead {
  readonly state: WorkflowState
  readonly name: string
  readonly created: number
  readonly finished: number
  /** JSON, or "". */
  readonly error: string
  readonly failed: string
  readonly total: number
  readonly result: Shape
}

/** What is left of an ended workflow stays so long, for those who ask for its result. */
const keepMs = 3_600_000
/** How long whoever was given a node to dispatch has until it is given to somebody else. */
export const leaseMs = 5000
const nodesPerCall = 100
const pageSize = 500
const mostKept = 300
/** The result of an ended workflow travels in its event only where few nodes make it up. */
const mostInline = 50

/** Typed calls about workflows. All but `graph` may be repeated, and are until they are answered. */
export class WorkflowStore {
  private readonly lane: Lane
  private turn: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly core: Core,
    private readonly codec: Codec,
  ) {
    this.lane = new Lane(core.link, "w")
  }

  keys(id: string): WorkflowKeys {
    return workflowKeys(this.core.link.adapter.prefix, id)
  }

  /** @throws StoreError where the store refuses it, TaskoraError when the app is closed */
  advance(keys: WorkflowKeys, news: readonly News[]): Promise<AdvanceReply> {
    const { link } = this.core
    const rest = news.flatMap(({ kind, node, text }) => [kind, node, text])
    const args = { limit: nodesPerCall, lease: leaseMs, keep: keepMs }
    return persist(link, () => link.run(scripts.advance, keys, args, rest))
  }

  async head(keys: WorkflowKeys): Promise<WorkflowHead | undefined> {
    const { link } = this.core
    const parts = await persist(link, () => link.run(scripts.graph, keys, { what: "head" }))
    const [state, name, created, finished, error, failed, total, , result] = parts
    if (!state || state === "planned") return undefined
    return {
      state: state as WorkflowState,
      name: name!,
      created: Number(created),
      finished: Number(finished),
      error: error!,
      failed: failed!,
      total: Number(total),
      result: JSON.parse(result || "[]") as Shape,
    }
  }

  async read(
    keys: WorkflowKeys,
    what: "nodes" | "edges" | "states" | "out" | "runs",
    nodes: readonly number[],
  ): Promise<string[]> {
    const { link } = this.core
    const found: string[] = []
    for (let i = 0; i < nodes.length; i += pageSize) {
      const page = nodes.slice(i, i + pageSize)
      for (const text of await persist(link, () => link.run(scripts.graph, keys, { what }, page)))
        found.push(text)
    }
    return found
  }

  /** The value that a shape stands for, from what its nodes gave. */
  async value(keys: WorkflowKeys, shape: Shape, what: string): Promise<unknown> {
    const nodes = leaves(shape)
    const texts = await this.read(keys, "out", nodes)
    const byNode = new Map(nodes.map((node, i) => [node, texts[i]!]))
    return fill(shape, (node) => this.codec.decode(byNode.get(node)!, what))
  }

  /** The result as its event carries it: "=" and its text, or "~" where that is too long, or of too many nodes. */
  async inlineResult(id: string, keys: WorkflowKeys): Promise<string> {
    const head = await this.head(keys)
    if (!head || leaves(head.result).length > mostInline) return "~"
    const what = `result of workflow ${id}`
    const text = this.codec.encode(await this.value(keys, head.result, what), what)
    return Buffer.byteLength(text) > this.core.events.inlineBytes ? "~" : `=${text}`
  }

  /** Puts it among those that run. @throws StoreError */
  enrol(
    id: string,
    { name, ttlMs }: { readonly name: string; readonly ttlMs: number | undefined },
    patience: { ended(): boolean; leftMs(): number },
  ) {
    const { link } = this.core
    const keys = link.keys(workflowsTask)
    return this.inTurn(() =>
      this.lane.call(
        scripts.enrol,
        keys,
        { id, name: JSON.stringify(name), look: leaseMs, ttl: ttlMs ?? "" },
        [],
        patience,
      ),
    )
  }

  conclude(
    id: string,
    end: { readonly state: "c" | "f" | "x" | "g"; readonly outcome: string; readonly text: string },
  ): Promise<ConcludeReply> {
    const { link, events } = this.core
    const keys = link.keys(workflowsTask)
    return this.inTurn(() =>
      this.lane.call(
        scripts.conclude,
        keys,
        { instance: link.instance, id, ...end, keep: mostKept, maxlen: events.maxLength },
        [],
      ),
    )
  }

  /** Running workflows that want looking after, and when the next one will; undefined where none runs. */
  async patrol(): Promise<{ ids: string[]; at: number; next: number | undefined }> {
    const { link } = this.core
    const keys = link.keys(workflowsTask)
    const [at, next, ...ids] = await link.run(scripts.patrol, keys, { base: keys.base, again: 30_000 })
    return { ids, at: Number(at), next: next === "" ? undefined : Number(next) }
  }

  /** What became of nodes that ran as jobs of `task`: of these jobs, or, where none is named, of those that ended before. */
  async outbox(task: string, ids: readonly string[], before = 0): Promise<Map<string, string>> {
    const { link } = this.core
    const keys = link.keys(task)
    const reply = await persist(link, () => link.run(scripts.outbox, keys, { base: keys.base, before }, ids))
    const found = new Map<string, string>()
    for (let i = 0; i < reply.length; i += 2) found.set(reply[i]!, reply[i + 1]!)
    return found
  }

  /** Forgets what became of these jobs, whose workflows know it. */
  deliver(task: string, ids: readonly string[]): Promise<void> {
    return this.mark(task, ids, 0)
  }

  /** Keeps jobs from being stored, if they are not yet. */
  bar(task: string, ids: readonly string[]): Promise<void> {
    return this.mark(task, ids, 1)
  }

  private async mark(task: string, ids: readonly string[], keep: 0 | 1): Promise<void> {
    const { link } = this.core
    const keys = link.keys(task)
    for (let i = 0; i < ids.length; i += pageSize) {
      const page = ids.slice(i, i + pageSize)
      await persist(link, () => link.run(scripts.deliver, keys, { base: keys.base, keep }, page))
    }
  }

  private inTurn<T>(call: () => Promise<T>): Promise<T> {
    const result = this.turn.then(call)
    this.turn = result.catch(() => undefined)
    return result
  }
}
