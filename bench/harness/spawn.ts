import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { Helper, Sample } from "../row.ts"

const program = fileURLToPath(new URL("../child.js", import.meta.url))

/** What a process of the bench is told to do. */
export interface Order {
  readonly row: string
  /** Index among the row's entries. */
  readonly entry: number
  readonly url: string
  readonly quick: boolean
  /** Writes a CPU profile of the measuring process to this file. */
  readonly profile?: string
  /** Plays this role instead of measuring. */
  readonly role?: string
}

export type Message =
  | { readonly kind: "ready" }
  | { readonly kind: "sample"; readonly sample: Sample }
  | { readonly kind: "answer"; readonly number: number; readonly value: unknown }

export type Question = { readonly number: number; readonly question: string } | "end"

/** Runs one entry of a row in a process of its own. */
export async function measureApart(order: Order): Promise<Sample> {
  const child = start(order)
  let sample: Sample | undefined
  child.on("message", (message: Message) => {
    if (message.kind === "sample") sample = message.sample
  })
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null]
  if (sample === undefined || code !== 0)
    throw new Error(
      `row ${order.row}, entry ${order.entry}: the process ended by ${signal ?? `code ${code}`}`,
    )
  return sample
}

/** Starts a process that answers the measuring one's questions. */
export async function startHelper(order: Order): Promise<Helper> {
  const child = start(order)
  const open = new Map<number, (value: unknown) => void>()
  let number = 0
  const ready = new Promise<void>((resolve, reject) => {
    child.on("message", (message: Message) => {
      if (message.kind === "ready") resolve()
      if (message.kind === "answer") open.get(message.number)?.(message.value)
    })
    child.once("exit", (code) => {
      const error = new Error(`row ${order.row}: the process of role ${order.role} ended by code ${code}`)
      reject(error)
      // Whoever waits for an answer would wait for ever.
      if (code !== 0) throw error
    })
  })
  await ready
  return {
    ask: <T>(question: string) => {
      const asked: Question = { number: ++number, question }
      child.send(asked)
      return new Promise<T>((resolve) => open.set(asked.number, resolve as (value: unknown) => void))
    },
    async end() {
      const gone = once(child, "exit")
      child.send("end" satisfies Question)
      await gone
    },
  }
}

function start(order: Order): ChildProcess {
  const child = fork(program, [JSON.stringify(order)], { stdio: ["ignore", 2, 2, "ipc"] })
  const stop = () => child.kill("SIGKILL")
  process.once("exit", stop)
  child.once("exit", () => process.off("exit", stop))
  return child
}
