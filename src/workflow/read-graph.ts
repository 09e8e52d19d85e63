import type { WorkflowGraph, WorkflowNode } from "./handle.ts"
import { nodeJobId } from "./node-worker.ts"
import type { WorkflowHead, WorkflowStore } from "./workflow-store.ts"

const states: Readonly<Record<string, WorkflowNode["state"]>> = {
  r: "ready",
  q: "dispatched",
  c: "completed",
  f: "failed",
  x: "cancelled",
  e: "expired",
}

/** Undefined where nothing is known of the workflow. */
export async function readGraph(id: string, store: WorkflowStore): Promise<WorkflowGraph | undefined> {
  const keys = store.keys(id)
  const head = await store.head(keys)
  if (!head) return undefined
  const numbers = Array.from({ length: head.total }, (_, i) => i)
  const [specs, edges, letters] = [
    await store.read(keys, "nodes", numbers),
    await store.read(keys, "edges", numbers),
    await store.read(keys, "states", numbers),
  ]
  const tasks = specs.map((spec) => spec.slice(0, spec.indexOf("\n")))
  const needs = dependencies(edges, tasks)
  const nodes = numbers
    .filter((number) => tasks[number] !== "")
    .map((number) => ({
      id: nodeJobId(id, String(number)),
      task: tasks[number]!,
      state: states[letters[number]!] ?? unstarted(head),
      dependsOn: [...needs[number]!].map((need) => nodeJobId(id, String(need))),
    }))
  return { id, name: head.name, state: head.state, nodes }
}

function unstarted({ state }: WorkflowHead): WorkflowNode["state"] {
  return state === "running" ? "waiting" : "skipped"
}

/** Of each node those that it waits for; nodes that run nothing are seen through. */
function dependencies(edges: readonly string[], tasks: readonly string[]): Set<number>[] {
  const needs = edges.map(() => new Set<number>())
  for (const [number, text] of edges.entries()) {
    // Nodes are numbered so that each comes after those that it waits for.
    const own = tasks[number] === "" ? [...needs[number]!] : [number]
    for (const range of text.slice(text.indexOf("|") + 1).split(",")) {
      if (range === "") continue
      const [from, to] = range.split("-").map(Number) as [number, number]
      for (let dependent = from; dependent <= to; dependent++)
        for (const need of own) needs[dependent]!.add(need)
    }
  }
  return needs
}
