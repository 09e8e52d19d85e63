/** A timer handle; only the clock that made it can read it. */
export type Timer = unknown

/** The only source of time and timers in the engine, so that tests and the embedded engine can turn it by hand. */
export interface Clock {
  /** Wall-clock time, ms since the epoch. */
  now(): number
  /** A clock that never jumps, ms from an arbitrary origin, with fractions. */
  monotonic(): number
  /**
   * Runs `fn` after `ms`. The timer never keeps the process alive unless `hold` is true. `idle` says that it only looks
   * now and then whether there is something to do: a virtual clock may skip such looks where it knows that there is not.
   */
  setTimeout(fn: () => void, ms: number, hold?: boolean, idle?: boolean): Timer
  clearTimeout(timer: Timer): void
}

/** The longest delay Node's own timers take, ms; anything longer must be waited for in parts. */
export const longestTimerMs = 2 ** 31 - 1

/** A moment, ms since the epoch, as a date. */
export function dateOf(ms: number): Date {
  return new Date(ms)
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout(fn, ms, hold = false) {
    const timer = setTimeout(fn, Math.min(Math.max(ms, 0), longestTimerMs))
    if (!hold) timer.unref()
    return timer
  },
  clearTimeout(timer) {
    clearTimeout(timer as NodeJS.Timeout)
  },
}

/** Resolves after `ms` of the clock's time. Does not keep the process alive. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimeout(resolve, ms)
  })
}

/**
 * What the promise comes to, or what `late` gives or throws after `ms` of the clock's time. Keeps the process alive
 * meanwhile, for somebody waits.
 */
export async function within<T, L>(
  clock: Clock,
  promise: Promise<T>,
  { ms, late }: { readonly ms: number; readonly late: () => L },
): Promise<T | L> {
  let timer: Timer
  const timeout = new Promise<void>((resolve) => {
    timer = clock.setTimeout(resolve, Math.max(0, ms), true)
  }).then(late)
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clock.clearTimeout(timer)
  }
}
