import { PayloadTooLargeError } from "../model/errors.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import type { WorkflowKeys } from "../store/keys.ts"
import { scripts } from "../store/scripts.ts"
import { StoreError } from "../store/store.ts"
import { type Graph, type GraphNode, ranges } from "./graph.ts"

const nodesPerPart = 500
const charsPerPart = 1_048_576

/** Stores a workflow's graph, part by part. @throws TaskoraError where data cannot be carried, StoreError */
export async function storePlan(
  keys: WorkflowKeys,
  plan: {
    readonly graph: Graph
    readonly name: string
    readonly ttlMs: number | undefined
    readonly headers: string
  },
  around: {
    readonly core: Core
    readonly codec: Codec
    readonly patience: { ended(): boolean; leftMs(): number }
  },
): Promise<void> {
  const { graph, name, ttlMs, headers } = plan
  const parts = split(graph.nodes.map((node, i) => nodeArgs(i, node, around)))
  const common = {
    total: graph.nodes.length,
    name,
    ttl: ttlMs ?? "",
    headers,
    result: JSON.stringify(graph.result),
  }
  for (const [part, rest] of parts.entries()) {
    const args = { ...common, part, last: part === parts.length - 1 ? 1 : 0 }
    await repeatedly(around, () => around.core.link.run(scripts.plan, keys, args, rest))
  }
}

function nodeArgs(
  number: number,
  node: GraphNode,
  { core, codec }: { readonly core: Core; readonly codec: Codec },
): string[] {
  const { task, input, options } = node
  const edges = `${node.needs.length}|${ranges(node.neededBy)}`
  const own = input === undefined && task !== ""
  const data = own ? codec.encode(node.data, `data of a job of task "${task}"`) : ""
  const bytes = Buffer.byteLength(data)
  if (bytes > core.payloadBytes)
    throw new PayloadTooLargeError(
      `data of a job of task "${task}" takes ${bytes} bytes; at most ${core.payloadBytes} are allowed (limits.payloadBytes)`,
      bytes,
      core.payloadBytes,
    )
  const shape = input === undefined ? "" : JSON.stringify(input)
  return [String(number), edges, `${task}\n${shape}\n${options}\n${data}`]
}

function split(nodes: readonly string[][]): string[][] {
  const parts: string[][] = [[]]
  let chars = 0
  for (const args of nodes) {
    const own = args[1]!.length + args[2]!.length
    const last = parts.at(-1)!
    if (last.length > 0 && (last.length >= nodesPerPart * 3 || chars + own > charsPerPart)) {
      parts.push([])
      chars = 0
    }
    parts.at(-1)!.push(...args)
    chars += own
  }
  return parts
}

/** Each part has a number, so a repeated one changes nothing. */
async function repeatedly<T>(
  { core, patience }: { readonly core: Core; readonly patience: { ended(): boolean; leftMs(): number } },
  call: () => Promise<T>,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof StoreError) || error.fate === "refused" || patience.ended()) throw error
      await core.link.untilUsable(tries, patience.leftMs())
      if (patience.ended()) throw error
    }
  }
}
