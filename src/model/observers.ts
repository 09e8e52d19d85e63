import type { Attempt, Dispatch, JobHeaders, Observer, Source, StoreCall, Transition } from "./observer.ts"

type Complain = (observer: string, error: unknown) => void

/** The app's observers as one. None of them can disturb a job: what one throws is reported, and the work goes on. */
export class Observers {
  readonly wrapsCalls: boolean
  private readonly watching: readonly Observer[]
  private readonly around: readonly Observer[]
  private readonly calls: readonly Observer[]

  constructor(
    private readonly all: readonly Observer[],
    private readonly complain: Complain,
  ) {
    this.watching = all.filter((observer) => observer.transition)
    this.around = all.filter((observer) => observer.attempt)
    this.calls = all.filter((observer) => observer.storeCall)
    this.wrapsCalls = this.calls.length > 0
  }

  get none(): boolean {
    return this.all.length === 0
  }

  /** Whether anybody wants to hear of transitions: where nobody does, none need be made. */
  get watched(): boolean {
    return this.watching.length > 0
  }

  source(source: Source): void {
    for (const observer of this.all) this.guard(observer, () => observer.source?.(source))
  }

  /** Errors of opening are the user's to know: a taken port must not pass in silence. */
  async open(): Promise<void> {
    for (const observer of this.all) await observer.open?.()
  }

  async close(): Promise<void> {
    await Promise.all(
      this.all.map(async (observer) => {
        try {
          await observer.close?.()
        } catch (error) {
          this.complain(observer.name, error)
        }
      }),
    )
  }

  /** Headers to store, one set for all jobs of the dispatch or one for each. */
  dispatching(dispatch: Dispatch): JobHeaders | readonly JobHeaders[] | undefined {
    let headers: JobHeaders | readonly JobHeaders[] | undefined
    for (const observer of this.all) {
      if (!observer.dispatching) continue
      this.guard(observer, () => {
        headers = observer.dispatching?.(dispatch) ?? headers
      })
    }
    return headers
  }

  transition(transition: Transition): void {
    for (const observer of this.watching) {
      try {
        observer.transition!(transition)
      } catch (error) {
        this.complain(observer.name, error)
      }
    }
  }

  attempt<T>(attempt: Attempt, run: () => T): T {
    return this.wrap(this.around, (observer, inner) => observer.attempt!(attempt, inner), run)
  }

  storeCall<T>(call: StoreCall, run: () => Promise<T>): Promise<T> {
    return this.wrap(this.calls, (observer, inner) => observer.storeCall!(call, inner), run)
  }

  private wrap<T>(
    observers: readonly Observer[],
    hook: (observer: Observer, run: () => T) => T,
    run: () => T,
  ): T {
    let inner = run
    for (const observer of observers) inner = this.shielded(observer, hook, inner)
    return inner()
  }

  private shielded<T>(
    observer: Observer,
    hook: (observer: Observer, run: () => T) => T,
    run: () => T,
  ): () => T {
    return () => {
      let called = false
      let value: T
      const once = () => {
        if (!called) {
          called = true
          value = run()
        }
        return value
      }
      try {
        const returned = hook(observer, once)
        if (returned !== value!) this.drop(observer, returned, value!)
      } catch (error) {
        this.complain(observer.name, error)
      }
      return once()
    }
  }

  /** What a hook returns of its own is dropped: the engine goes by what its work returned. */
  private drop(observer: Observer, returned: unknown, value: unknown): void {
    if (!(returned instanceof Promise)) return
    returned.catch(async (error: unknown) => {
      // The work's own failure, passed on, is none of the observer's.
      const isOwn = await Promise.resolve(value).then(
        () => true,
        (reason: unknown) => reason !== error,
      )
      if (isOwn) this.complain(observer.name, error)
    })
  }

  private guard(observer: Observer, call: () => void): void {
    try {
      call()
    } catch (error) {
      this.complain(observer.name, error)
    }
  }
}
