import type { Contestant } from "./contestant.ts"

export type ContestantName = "taskora" | "embedded" | "bullmq"

// Named by a variable: BullMQ is installed in bench/ only, and the rest is compiled without it too.
const bullmqModule: string = "../bullmq/contestant.js"

export async function findContestant(name: ContestantName): Promise<Contestant> {
  if (name === "bullmq") return ((await import(bullmqModule)) as { bullmq: Contestant }).bullmq
  const { taskora, embedded } = await import("./taskora.ts")
  return name === "taskora" ? taskora : embedded
}
