import { durationMs } from "../model/duration.ts"
import { invalid, wholeNumber } from "../model/options.ts"
import type { ComposedTask, Form, NodeOptions } from "./composition.ts"

/** Whose outputs make an input or a result: one node's, or a list of such. */
export type Shape = number | readonly Shape[]

/** A node of a workflow's graph. */
export interface GraphNode {
  /** Undefined for a node that runs nothing: those that wait for all of many wait for it instead. */
  readonly task: ComposedTask | undefined
  /** What it is given where it takes what stands before it; undefined where its data is its own. */
  readonly input: Shape | undefined
  readonly data: unknown
  readonly delayMs: number
  readonly priority: number
  /** Numbers of the nodes that must have completed. */
  readonly needs: readonly number[]
  readonly neededBy: number[]
}

export interface Graph {
  readonly nodes: readonly GraphNode[]
  readonly result: Shape
}

const highestPriority = 2 ** 21

/** Lays a composition out as a graph without circles. @throws TaskoraError (`INVALID`) where a first job has no data */
export function layOut(form: Form): Graph {
  const nodes: GraphNode[] = []
  const add = (node: Omit<GraphNode, "neededBy">): number => {
    const number = nodes.push({ ...node, neededBy: [] }) - 1
    for (const need of node.needs) nodes[need]!.neededBy.push(number)
    return number
  }

  /** `input`: what stands before; `needs`: what must be over, which may be less than what the input is made of. */
  const lay = (part: Form, input: Shape | undefined, needs: readonly number[]): Shape => {
    if (part.kind === "job") {
      if (!part.bound && input === undefined)
        throw invalid(
          `task "${part.task.name}" stands first and has no data: write s(data) instead of s(), or put something before it`,
        )
      return add({
        task: part.task,
        input: part.bound ? undefined : input,
        data: part.data,
        ...resolveHow(part.task.name, part.how),
        needs,
      })
    }
    if (part.kind === "group") {
      const gate = needs.length > 1 && part.members.length > 1
      const before = gate
        ? [add({ task: undefined, input: undefined, data: undefined, delayMs: 0, priority: 0, needs })]
        : needs
      return part.members.map((member) => lay(member, input, before))
    }
    let shape = input
    let before = needs
    for (const step of part.parts) {
      shape = lay(step, shape, before)
      const own = leaves(shape)
      // An empty group gives an empty list at once: what had to be over before it must be so still.
      if (own.length > 0) before = own
    }
    return shape!
  }
  const result = lay(form, undefined, [])
  return { nodes, result }
}

/** The nodes that a shape is made of, each once. */
export function leaves(shape: Shape): number[] {
  const found = new Set<number>()
  const stack: Shape[] = [shape]
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (typeof next === "number") found.add(next)
    else stack.push(...next)
  }
  return [...found].sort((a, b) => a - b)
}

/** Puts values in the places of a shape. */
export function fill(shape: Shape, value: (node: number) => unknown): unknown {
  return typeof shape === "number" ? value(shape) : shape.map((part) => fill(part, value))
}

/** Rising numbers as ranges, "0-4,7-7": what `plan.lua` keeps of dependents. */
export function ranges(numbers: readonly number[]): string {
  const parts: string[] = []
  for (let i = 0; i < numbers.length; ) {
    const from = numbers[i]!
    let to = from
    for (i++; numbers[i] === to + 1; i++) to++
    parts.push(`${from}-${to}`)
  }
  return parts.join(",")
}

function resolveHow(task: string, { delay, priority }: NodeOptions) {
  const what = `task "${task}": s()`
  return {
    delayMs: delay === undefined ? 0 : durationMs(delay, `${what}: delay`),
    priority: priority === undefined ? 0 : wholeNumber(priority, `${what}: priority`, 0, highestPriority),
  }
}
