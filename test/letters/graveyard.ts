import { afterEach, beforeEach, vi } from "vitest"
import type { App, AppOptions, JobHandle, Task, TaskOptions } from "../../src/index.ts"
import { type TestHost, testApps } from "../support/hosts.ts"

/** What jobs of the test's tasks are told to do: to throw this, or to come to their end. */
export interface Order {
  readonly fail?: string
  readonly type?: string
}

export class PaymentError extends Error {
  override name = "PaymentError"
}

/** Apps on one host whose jobs fail as they are told, until they are healed. */
export function graveyards(host: TestHost) {
  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })
  // After the silence, so that it is still silent while apps are closed.
  const openApp = testApps()
  return (options: Partial<AppOptions> = {}) =>
    new Graveyard(openApp, { adapter: host.adapter(), ...options })
}

export class Graveyard {
  readonly app: App
  /** Jobs run so far: task, id and attempt of each. */
  readonly runs: string[] = []
  /** From now on nobody fails. */
  healed = false

  constructor(
    private readonly open: (options: AppOptions) => App,
    readonly options: AppOptions,
  ) {
    this.app = open(options)
  }

  task(name: string, options: TaskOptions<Order, string> = {}): Task<Order, string> {
    return this.app.task<Order, string>(name, {
      concurrency: 10,
      ...options,
      handler: (data, ctx) => {
        this.runs.push(`${name} ${ctx.id} ${ctx.attempt}`)
        if (this.healed || data.fail === undefined) return `done ${ctx.id}`
        throw data.type === "PaymentError" ? new PaymentError(data.fail) : new Error(data.fail)
      },
    })
  }

  /** Dispatches jobs that fail for good, one after the other; resolves when they have. */
  async bury(task: Task<Order, string>, orders: readonly (Order & { id?: string })[]) {
    const handles: JobHandle<string>[] = []
    for (const { id, ...order } of orders) {
      const handle = task.dispatch(order, id === undefined ? {} : { jobId: id })
      await handle.result.catch(() => undefined)
      handles.push(handle)
    }
    return handles
  }

  /** An app of another process, that dispatches and asks, and runs nothing. */
  other(name: string): { app: App; task: Task<Order, string> } {
    const app = this.open(this.options)
    return { app, task: app.task<Order, string>(name) }
  }
}

export const ids = (jobs: readonly { readonly id: string }[]) => jobs.map(({ id }) => id)
