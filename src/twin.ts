import type { Taskora } from "./app.ts"
import type { AppOptions } from "./app-options.ts"
import type { Management } from "./management.ts"
import type { MiddlewareContext } from "./model/context.ts"
import type { Registry } from "./registry.ts"
import type { Middleware } from "./rules/middleware.ts"
import type { Scheduling } from "./scheduling.ts"

/** What lies inside of an app, for its twin. */
export interface Inside {
  readonly given: AppOptions
  readonly middleware: Middleware<MiddlewareContext>[]
  readonly tasks: Registry
  readonly scheduling: Scheduling
  readonly management: Management
  readonly starting: Promise<void> | undefined
}

export function innards(app: Taskora): Inside {
  return app as unknown as Inside
}

/** Gives a new app, on an adapter of its own, all that another one was given: tasks, contracts, schedules, middleware. */
export function furnish(twin: Taskora, original: Taskora): void {
  const from = innards(original)
  const to = innards(twin)
  to.middleware.push(...from.middleware)
  to.tasks.adopt(from.tasks)
  to.scheduling.adopt(from.scheduling)
}

export function optionsOf(app: Taskora): AppOptions {
  return innards(app).given
}

/**
 * Lets a twin stand in for an app: whatever is asked of the app or of its tasks is the twin's to do, and the app's own store
 * is left alone, until the function that this answers is called.
 */
export function standIn(twin: Taskora, original: Taskora): () => void {
  const { tasks } = innards(original)
  const own = { ...original }
  const backs = tasks.names.map((name) => {
    const task = tasks.get(name)!
    const mine = { ...task }
    Object.assign(task, innards(twin).tasks.get(name))
    return () => Object.assign(task, mine)
  })
  Object.assign(original, twin)
  return () => {
    Object.assign(original, own)
    for (const back of backs) back()
  }
}
