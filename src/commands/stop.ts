/** npx and the terminal both pass Ctrl-C on: what comes within this time is the same one. */
const sameMs = 1000

/** Resolves at SIGTERM or SIGINT. A second one, from somebody who lost patience, ends the process at once. */
export function listenForStop(): Promise<void> {
  return new Promise((resolve) => {
    let since: number | undefined
    const stop = (signal: NodeJS.Signals) => {
      since ??= performance.now()
      resolve()
      if (performance.now() - since > sameMs) process.exit(signal === "SIGINT" ? 130 : 143)
    }
    process.on("SIGINT", stop)
    process.on("SIGTERM", stop)
  })
}
