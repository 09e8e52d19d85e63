import { PayloadTooLargeError } from "../model/errors.ts"
import { invalid } from "../model/options.ts"
import { flowLines } from "../rules/flow.ts"
import { validate } from "../rules/schema.ts"
import type { Codec } from "../rules/serializer.ts"
import type { Core } from "../store/core.ts"
import type { WorkflowKeys } from "../store/keys.ts"
import { scripts } from "../store/scripts.ts"
import { StoreError } from "../store/store.ts"
import type { ComposedTask } from "./composition.ts"
import { type Graph, type GraphNode, ranges } from "./graph.ts"

const nodesPerPart = 500
const charsPerPart = 1_048_576

interface Around {
  readonly core: Core
  readonly codec: Codec
  readonly validateOnDispatch: boolean
  readonly patience: { ended(): boolean; leftMs(): number }
}

/** Stores a workflow's graph, part by part. @throws TaskoraError where data cannot be carried, StoreError */
export async function storePlan(
  keys: WorkflowKeys,
  plan: {
    readonly graph: Graph
    readonly name: string
    readonly ttlMs: number | undefined
    readonly headers: string
  },
  around: Around,
): Promise<void> {
  const { graph, name, ttlMs, headers } = plan
  const parts = split(await Promise.all(graph.nodes.map((node, i) => nodeArgs(i, node, around))))
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

async function nodeArgs(number: number, node: GraphNode, around: Around): Promise<string[]> {
  const edges = `${node.needs.length}|${ranges(node.neededBy)}`
  const { task, input } = node
  if (!task) return [String(number), edges, "\n\n\n"]
  const shape = input === undefined ? "" : JSON.stringify(input)
  const data = input === undefined ? await encode(task, node.data, around) : ""
  return [String(number), edges, `${task.name}\n${shape}\n${optionText(node, task)}\n${data}`]
}

/** delay,priority,version, then a tab before each further line of its options. @throws TaskoraError (`INVALID`) */
function optionText(
  { delayMs, priority, input, data }: GraphNode,
  { name, definition }: ComposedTask,
): string {
  const what = `task "${name}" in a workflow`
  const { flow, version } = definition
  if (input !== undefined && typeof flow.key === "function")
    throw invalid(
      `${what}: its concurrencyKey is chosen by its data, which is not known yet; give it data of its own, by s(data)`,
    )
  const lines = flowLines({ delayMs }, flow, { data, what })
  return [`${delayMs},${priority},${version}`, ...lines].join("\t")
}

/** Data of a job, checked as at any dispatch. @throws ValidationError, SerializationError, PayloadTooLargeError */
async function encode(task: ComposedTask, data: unknown, around: Around): Promise<string> {
  const { core, codec, validateOnDispatch } = around
  const what = `data of a job of task "${task.name}"`
  const schema = task.definition.checks?.input
  if (schema && validateOnDispatch) await validate(schema, data, what)
  const text = codec.encode(data, what)
  const bytes = Buffer.byteLength(text)
  if (bytes <= core.payloadBytes) return text
  throw new PayloadTooLargeError(
    `${what} takes ${bytes} bytes; at most ${core.payloadBytes} are allowed (limits.payloadBytes)`,
    bytes,
    core.payloadBytes,
  )
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
