import { TaskoraError } from "../model/errors.ts"

/** Wraps the handler, and the middleware after it: `await next()` runs them. */
export type Middleware<C = unknown> = (ctx: C, next: () => Promise<void>) => unknown

/** Runs middleware around `last`, the first one outermost. @throws TaskoraError where `next` is called twice */
export async function runMiddleware<C>(
  chain: readonly Middleware<C>[],
  ctx: C,
  last: () => Promise<void>,
): Promise<void> {
  let reached = -1
  const step = async (at: number): Promise<void> => {
    if (at <= reached) throw new TaskoraError("a middleware called next() twice", "INVALID")
    reached = at
    const middleware = chain[at]
    if (!middleware) return last()
    let inner: Promise<void> | undefined
    let settled = true
    await middleware(ctx, () => {
      settled = false
      const rest = step(at + 1).finally(() => {
        settled = true
      })
      // What next() rejects with is the middleware's; that it looks away must not bring the process down.
      rest.catch(() => undefined)
      inner ??= rest
      return rest
    })
    // A middleware that does not await next() must not end the job before its handler.
    if (!settled) await inner
  }
  await step(0)
}
