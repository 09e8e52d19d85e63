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
    if (middleware) await middleware(ctx, () => step(at + 1))
    else await last()
  }
  await step(0)
}
