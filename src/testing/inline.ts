import type { MiddlewareContext } from "../model/context.ts"
import { newId } from "../model/names.ts"
import { invalid } from "../model/options.ts"
import { type Definition, retryOf } from "../rules/definition.ts"
import type { Middleware } from "../rules/middleware.ts"
import type { Codec } from "../rules/serializer.ts"
import { perform } from "../worker/attempt.ts"
import type { Voice } from "../worker/context.ts"
import { Run } from "../worker/run.ts"

export interface InlineStage {
  readonly definition: Definition
  readonly middleware: readonly Middleware<MiddlewareContext>[]
  readonly codec: Codec
  readonly payloadBytes: number
  readonly now: number
}

/** Runs a task's handler without any queue: through its codec, schemas and middleware, with its retries, at once. */
export async function runInline(stage: InlineStage, data: unknown): Promise<unknown> {
  const { definition, codec, now } = stage
  const { name } = definition
  if (!definition.handler) throw invalid(`run: task "${name}" has no handler in this app`)
  const text = codec.encode(data, `data of a job of task "${name}"`)
  const id = newId()
  const voice: Voice = { progress: () => undefined, log: () => undefined, heartbeat: async () => undefined }
  for (let attempt = 1; ; attempt++) {
    const facts = {
      ...{ task: name, id, attempt, maxAttempts: retryOf(definition).attempts, priority: 0, worker: "test" },
      ...{ createdAt: now, eligibleAt: now, claimedAt: now, lifeStart: now, delayMs: 0, waitMs: 0 },
      ...{ payloadBytes: 0, headers: {} },
    }
    const lease = { token: "", now: 0, data: text, damaged: false, version: definition.version, node: false }
    const ending = await perform(new Run(facts, lease), { ...stage, voice })
    if (ending.kind === "completed") return codec.decode(ending.result, `result of a job of task "${name}"`)
    if (ending.kind === "failed") throw ending.error
  }
}
