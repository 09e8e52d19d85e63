import type { DispatchOptions, JobHandle, Task } from "../../src/index.ts"
import type { Diary } from "./observations.ts"
import type { Order, PodConfig } from "./pods.ts"
import { Prng } from "./prng.ts"
import type { Done, FaultTask, Work } from "./work.ts"

/** How long a waiter waits for a result. */
export const waitMs = 20_000

/** Dispatches jobs of all sorts at a slow, steady pace, and writes down what became of each call. */
export class Load {
  #timer: NodeJS.Timeout | undefined
  #named = 0
  readonly #random: Prng

  constructor(
    private readonly tasks: Readonly<Record<FaultTask, Task<Work, unknown>>>,
    private readonly diary: Diary,
    private readonly config: PodConfig,
  ) {
    this.#random = new Prng(config.seed)
  }

  start(): void {
    this.stop()
    this.#timer = setInterval(() => this.#step(), this.config.everyMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  dispatch({ task, work, tag, count }: Extract<Order, { op: "dispatch" }>): void {
    for (let i = 0; i < count; i++) this.#one(task, work, {}, { tag, awaited: true })
  }

  #step(): void {
    const random = this.#random
    // A worker's own jobs: the launched ones.
    if (this.config.role === "worker") {
      this.#one("lone", { deed: "return", ms: random.between(0, 30) }, {}, { awaited: random.chance(0.3) })
      return
    }
    const [task, work] = this.#work()
    if (random.chance(0.1)) {
      const jobs = Array.from({ length: random.between(2, 6) }, () => ({ data: work }))
      for (const handle of this.tasks[task].dispatchMany(jobs)) this.#follow(task, handle, {})
      return
    }
    const options: { -readonly [K in keyof DispatchOptions]: DispatchOptions[K] } = {}
    if (random.chance(0.15)) options.delay = random.between(20, 400)
    if (random.chance(0.1)) options.priority = random.between(1, 5)
    if (random.chance(0.1)) options.jobId = `n${this.config.seed}-${++this.#named}`
    this.#one(task, work, options, { awaited: random.chance(0.3), cancelled: random.chance(0.08) })
  }

  #work(): [FaultTask, Work] {
    const random = this.#random
    const at = random.next()
    if (at < 0.35) return ["quick", { deed: "return", ms: random.between(0, 5) }]
    if (at < 0.7)
      return ["steady", { deed: "take time", ms: random.between(100, 700), everyMs: random.between(60, 200) }]
    if (at < 0.9) return ["flaky", { deed: "fail", fails: random.between(0, 3), ms: random.between(0, 20) }]
    return ["stubborn", { deed: "ignore its abort", ms: random.between(200, 600) }]
  }

  #one(
    task: FaultTask,
    work: Work,
    options: DispatchOptions,
    with_: { readonly tag?: string; readonly awaited?: boolean; readonly cancelled?: boolean },
  ): void {
    this.#follow(task, this.tasks[task].dispatch(work, options), with_)
  }

  #follow(
    task: FaultTask,
    handle: JobHandle<unknown>,
    { tag, awaited, cancelled }: { tag?: string; awaited?: boolean; cancelled?: boolean },
  ): void {
    const { diary } = this
    const { id } = handle
    // The dispatch leaves this process in a microtask at the earliest.
    diary.note({ what: "asked", task, id, ...(tag === undefined ? {} : { tag }) })
    handle.then(
      () => diary.note({ what: "acknowledged", task, id }),
      (error: unknown) => diary.note({ what: "refused", task, id, code: codeOf(error) }),
    )
    if (awaited) {
      diary.note({ what: "awaited", task, id })
      handle.waitFor(waitMs).then(
        (result) =>
          diary.note({ what: "answered", task, id, outcome: "completed", run: (result as Done).run }),
        (error: unknown) => diary.note({ what: "answered", task, id, outcome: codeOf(error) }),
      )
    }
    if (cancelled) {
      const cancel = () =>
        handle.cancel({ reason: "as told" }).then(
          (answer) => diary.note({ what: "cancel", task, id, answer }),
          (error: unknown) => diary.note({ what: "cancel", task, id, answer: codeOf(error) }),
        )
      setTimeout(() => void cancel(), this.#random.between(0, 300))
    }
  }
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error)
}
