import type { Core } from "../store/core.ts"
import { storeFailure } from "../store/failure.ts"
import type { Failure } from "../store/letter-replies.ts"
import { scripts } from "../store/scripts.ts"

export const failuresAtOnce = 100

/**
 * A page of a task's failed jobs, behind the one with the given `seq`. A page may be short where records are long; only an
 * empty one is the last. @throws ConnectionError, PermissionError or TaskoraError (`STORE`)
 */
export async function readFailures(
  { link }: Pick<Core, "link">,
  task: string,
  page: { readonly way: "oldest" | "newest"; readonly after: number | undefined; readonly limit?: number },
): Promise<readonly Failure[]> {
  const keys = link.keys(task)
  const { way, after, limit = failuresAtOnce } = page
  try {
    return await link.run(scripts.failures, keys, { base: keys.base, way, after: after ?? "", limit })
  } catch (error) {
    throw storeFailure(error)
  }
}
