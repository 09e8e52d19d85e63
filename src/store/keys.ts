/**
 * The names of all keys. Those of one task share one hash tag, so that a task lives in one slot of a cluster; the kind of
 * a key stands before the id, so that no id can meet another key's name.
 */
export const taskKeyNames = [
  "waiting",
  "priority",
  "delayed",
  "active",
  "completed",
  "failed",
  "cancelled",
  "cancels",
  "wake",
  "events",
  "stats",
] as const
export type TaskKey = (typeof taskKeyNames)[number]

const sharedKeyNames = {
  tasks: "tasks",
  workers: "workers",
  workerInfo: "worker-info",
  meta: "meta",
} as const
const sharedTag = "{*}:"
export type SharedKey = keyof typeof sharedKeyNames

/** What a workflow keeps: its graph, and how far it has come. All of it has one hash tag. */
export const workflowKeyNames = [
  "head",
  "edges",
  "nodes",
  "states",
  "counts",
  "out",
  "runs",
  "ready",
  "spread",
  "live",
] as const
export type WorkflowKeys = Readonly<Record<(typeof workflowKeyNames)[number], string>>

/** In whose tables running workflows stand like jobs; no task can be called so. */
export const workflowsTask = "*workflows"

export interface TaskKeys extends Readonly<Record<TaskKey, string>> {
  readonly task: string
  /** What stands before `job:<id>`, `data:<id>`, `progress:<id>`, `logs:<id>` and `result:<id>`. */
  readonly base: string
  /** Channel on which cancel requests for active jobs are published. */
  readonly channel: string
}

export function taskKeys(prefix: string, task: string): TaskKeys {
  const base = `${root(prefix)}{${task}}:`
  const keys = Object.fromEntries(taskKeyNames.map((name) => [name, base + name])) as Record<TaskKey, string>
  return { ...keys, task, base, channel: `${base}cancel` }
}

/** No task can have a `*` in its name, so no task's keys meet a workflow's. */
export function workflowKeys(prefix: string, id: string): WorkflowKeys {
  const base = `${root(prefix)}{*w:${id}}:`
  return Object.fromEntries(workflowKeyNames.map((name) => [name, base + name])) as WorkflowKeys
}

/** In a cluster they lie together too, under a tag that no task can have. */
export function sharedKeys(prefix: string, cluster = false): Readonly<Record<SharedKey, string>> {
  const base = root(prefix) + (cluster ? sharedTag : "")
  const entries = Object.entries(sharedKeyNames).map(([name, key]) => [name, base + key])
  return Object.fromEntries(entries) as Record<SharedKey, string>
}

export interface ScheduleKeys {
  /** What stands before `lane:<lane>`. */
  readonly base: string
  readonly schedules: string
  readonly definitions: string
  readonly pending: string
  /** On which it is told that a schedule was written. */
  readonly channel: string
}

/** Those of all schedules lie in one slot. No task can have their tag: an asterisk is not allowed in names. */
export function scheduleKeys(prefix: string): ScheduleKeys {
  const base = `${root(prefix)}{*schedules}:`
  return {
    base,
    schedules: `${base}schedules`,
    definitions: `${base}definitions`,
    pending: `${base}pending`,
    channel: `${base}written`,
  }
}

/** What every key and channel of a prefix begins with. */
export function root(prefix: string): string {
  return prefix === "" ? "taskora:" : `${prefix}:taskora:`
}
