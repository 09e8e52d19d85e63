import { TaskoraError } from "../../src/model/errors.ts"

type Loaders = Readonly<Record<string, () => Promise<unknown>>>
type Loaded<L extends Loaders> = { readonly [K in keyof L]: Awaited<ReturnType<L[K]>> }

/**
 * Loads optional packages by name.
 * @throws TaskoraError (`INVALID`) that names all that are missing and how to install them
 */
export async function loadPackages<L extends Loaders>(loaders: L, who: string): Promise<Loaded<L>> {
  const { loaded, missing } = await tryPackages(loaders)
  if (loaded === undefined)
    throw new TaskoraError(
      `${who} needs OpenTelemetry's SDK, of which parts are not installed; run: npm install ${missing.join(" ")}`,
      "INVALID",
    )
  return loaded
}

/** Loads optional packages that one can do without; says which of them are missing, and then gives none. */
export async function tryPackages<L extends Loaders>(
  loaders: L,
): Promise<{ readonly loaded: Loaded<L> | undefined; readonly missing: readonly string[] }> {
  const missing: string[] = []
  const entries = await Promise.all(
    Object.entries(loaders).map(async ([name, load]) => {
      try {
        return [name, await load()] as const
      } catch (error) {
        if (!isMissing(error, name)) throw error
        missing.push(name)
        return [name, undefined] as const
      }
    }),
  )
  const loaded = missing.length > 0 ? undefined : (Object.fromEntries(entries) as Loaded<L>)
  return { loaded, missing }
}

/** A package that is there but misses one of its own is broken, which another message says better. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  const isNotFound = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND"
  return isNotFound && String(message).includes(`'${name}'`)
}
