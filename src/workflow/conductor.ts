import { SerializationError, TaskoraError } from "../model/errors.ts"
import { neutrally } from "../model/neutral.ts"
import type { WorkflowKeys } from "../store/keys.ts"
import type { AdvanceReply, NodeWork } from "../store/workflow-replies.ts"
import type { NodeWorker } from "./node-worker.ts"
import type { News, WorkflowStore } from "./workflow-store.ts"

/** A workflow that this process has something to tell. */
interface Conduct {
  readonly keys: WorkflowKeys
  readonly news: News[]
  /** Resolved, or rejected, once what was told so far has been acted upon. */
  told: Telling[]
}

interface Telling {
  resolve(): void
  reject(error: unknown): void
}

const newsPerCall = 100
const charsPerCall = 1_048_576

/** What must happen when a workflow has ended. */
export type Ended = (id: string, keys: WorkflowKeys, reply: AdvanceReply) => Promise<void>

/**
 * Carries news to workflows and does what they say is next, one workflow's news after the other: it tells, dispatches or
 * cancels what it is given, and tells that it did. Whatever a crash leaves undone is handed out again to whoever asks.
 */
export class Conductor {
  private readonly running = new Map<string, Conduct>()
  private idle: (() => void)[] = []

  constructor(
    private readonly store: WorkflowStore,
    private readonly around: { readonly nodes: NodeWorker; readonly ended: Ended },
  ) {}

  /** Resolves when the news is told, and what followed from it has been done. With no news it only looks what is to do. */
  tell(id: string, news: readonly News[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const known = this.running.get(id)
      const conduct = known ?? { keys: this.store.keys(id), news: [], told: [] }
      conduct.news.push(...news)
      conduct.told.push({ resolve, reject })
      if (known) return
      this.running.set(id, conduct)
      neutrally(() => void this.conduct(id, conduct))
    })
  }

  /** Resolves when nothing is under way. */
  async drained(): Promise<void> {
    while (this.running.size > 0) await new Promise<void>((resolve) => this.idle.push(resolve))
  }

  private async conduct(id: string, conduct: Conduct): Promise<void> {
    try {
      for (let more = true; more || conduct.news.length > 0 || conduct.told.length > 0; ) {
        // Those who tell something while this is told wait for the next round.
        const told = conduct.told
        conduct.told = []
        try {
          do {
            more = await this.round(id, conduct)
          } while (more || conduct.news.length > 0)
          for (const { resolve } of told) resolve()
        } catch (error) {
          for (const { reject } of told) reject(error)
          throw error
        }
      }
    } catch (error) {
      // Everybody who waits hears of it; the workflow's next news, or the patrol, goes on from where it stands.
      for (const { reject } of conduct.told) reject(error)
    } finally {
      this.running.delete(id)
      if (this.running.size === 0) for (const resolve of this.idle.splice(0)) resolve()
    }
  }

  private async round(id: string, conduct: Conduct): Promise<boolean> {
    const { keys } = conduct
    const batch = takeBatch(conduct.news)
    let reply: AdvanceReply
    try {
      reply = await this.store.advance(keys, batch)
    } catch (error) {
      conduct.news.length = 0
      throw error
    }
    if (reply.state === "gone" || isOver(reply)) {
      await this.around.ended(id, keys, reply)
      return false
    }
    const results = await Promise.all(reply.work.map((work) => this.act(id, { work, keys, reply })))
    for (const result of results) if (result) conduct.news.push(result)
    return reply.more
  }

  private async act(
    id: string,
    { work, keys, reply }: { work: NodeWork; keys: WorkflowKeys; reply: AdvanceReply },
  ): Promise<News | undefined> {
    const { nodes } = this.around
    const { node } = work
    if (work.kind === "x") return nodes.cancel({ id, node, task: work.text, reason: reply.error })
    try {
      return await nodes.dispatch({ id, node, keys, spec: work.text, headers: reply.headers })
    } catch (error) {
      if (!(error instanceof TaskoraError) || error.code === "CLOSED") throw error
      // An input that cannot be made or carried will not be better the next time.
      const { name, message } = error
      if (isLasting(error)) return { kind: "f", node, text: `\n${JSON.stringify({ name, message })}` }
      throw error
    }
  }
}

function isOver({ state }: AdvanceReply): boolean {
  return state === "completed" || state === "failed" || state === "cancelled"
}

function isLasting(error: TaskoraError): boolean {
  return (
    error instanceof SerializationError || ["PAYLOAD_TOO_LARGE", "VALIDATION", "INVALID"].includes(error.code)
  )
}

function takeBatch(news: News[]): News[] {
  let chars = 0
  let count = 0
  while (count < news.length && count < newsPerCall) {
    chars += news[count]!.text.length
    if (count > 0 && chars > charsPerCall) break
    count++
  }
  return news.splice(0, count)
}
