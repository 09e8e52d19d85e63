/** What `startTelemetry()` wants done before an app's close() returns. */
const flushes = new Set<() => Promise<void>>()

/** Has `flush` called whenever an app with our observer closes; it must bound itself, and never reject. Returns how to stop. */
export function beforeClosed(flush: () => Promise<void>): () => void {
  flushes.add(flush)
  return () => flushes.delete(flush)
}

export async function flushBeforeClosed(): Promise<void> {
  await Promise.all([...flushes].map((flush) => flush()))
}
