/** A timer handle; only the clock that made it can read it. */
export type Timer = unknown

/** The only source of time and timers in the engine, so that tests and the embedded engine can turn it by hand. */
export interface Clock {
  /** Wall-clock time, ms since the epoch. */
  now(): number
  /** A clock that never jumps, ms from an arbitrary origin, with fractions. */
  monotonic(): number
  /** Runs `fn` after `ms`. The timer never keeps the process alive unless `hold` is true. */
  setTimeout(fn: () => void, ms: number, hold?: boolean): Timer
  clearTimeout(timer: Timer): void
}

/** The longest delay Node's own timers take, ms; anything longer must be waited for in parts. */
export const longestTimerMs = 2 ** 31 - 1

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
