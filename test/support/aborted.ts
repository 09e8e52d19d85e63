/** Rejects with the signal's reason once it is aborted, also where that has happened already. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => reject(signal.reason)
    if (signal.aborted) end()
    else signal.addEventListener("abort", end, { once: true })
  })
}
