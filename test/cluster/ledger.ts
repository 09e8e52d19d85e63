import type { Line } from "./processes.ts"

type Heard = Extract<Line, { kind: "heard" }>

export function heardBy(lines: readonly Line[]): Heard[] {
  return lines.filter((line) => line.kind === "heard")
}

/** How often each id is among them. */
export function countsById(lines: readonly { readonly id: string }[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { id } of lines) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}

/** What is wrong with the order in which a process heard each task's transitions: their numbers rise by one. */
export function disorder(lines: readonly Line[]): string[] {
  const last = new Map<string, number>()
  const wrong: string[] = []
  for (const { task, seq, event, id } of heardBy(lines)) {
    const before = last.get(task)
    if (before !== undefined && seq !== before + 1)
      wrong.push(`${task}: ${event} of ${id} is ${seq} after ${before}`)
    last.set(task, seq)
  }
  return wrong
}
