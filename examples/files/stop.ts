const impatienceMs = 1000

/**
 * Listens for Ctrl-C and SIGTERM: `signal` aborts at the first, and a second one ends the process at once. What comes
 * within a second is the same one: terminal and npm both send it.
 */
export function listenForStop(): { readonly signal: AbortSignal; readonly stopped: Promise<void> } {
  const controller = new AbortController()
  let firstAt: number | undefined
  const stop = (name: NodeJS.Signals) => {
    if (firstAt === undefined) {
      firstAt = performance.now()
      process.exitCode = name === "SIGINT" ? 130 : 143
      controller.abort()
    } else if (performance.now() - firstAt > impatienceMs) process.exit()
  }
  process.on("SIGINT", stop)
  process.on("SIGTERM", stop)
  const { signal } = controller
  const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()))
  return { signal, stopped }
}
