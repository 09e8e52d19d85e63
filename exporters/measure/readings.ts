import type { QueueSnapshot, Source, TaskQueue, TransitionName } from "../../src/model/observer.ts"
import { counters, gauges, type Instrument, other } from "../catalogue.ts"
import type { ProcessMeasures } from "./process.ts"
import type { Tasks } from "./tasks.ts"

/** Values that are read as they are asked for, by instrument, with the attribute values in the instrument's order. */
export interface Reading {
  readonly values: readonly string[]
  readonly value: number
}

export class Readings {
  readonly byInstrument = new Map<Instrument, Reading[]>()

  add(instrument: Instrument, values: readonly string[], value: number): void {
    const readings = this.byInstrument.get(instrument)
    if (readings === undefined) this.byInstrument.set(instrument, [{ values, value }])
    else readings.push({ values, value })
  }
}

/** What this process knows of itself. */
export function readProcess(
  source: Source,
  tasks: Tasks,
  { workersReadyAt, schedules }: ProcessMeasures,
): Readings {
  const readings = readBuild(source)
  if (workersReadyAt !== undefined) readings.add(gauges.workerStart, [], workersReadyAt / 1000)
  for (const facts of source.tasks()) {
    const { label } = tasks.get(facts.name)
    if (label === other) continue
    readings.add(gauges.taskInfo, [label, facts.owner ?? "", facts.runbook ?? ""], 1)
    const { success, wait, duration } = facts.objectives ?? {}
    if (success !== undefined) readings.add(gauges.objectiveTarget, [label, "success"], success)
    if (wait !== undefined) {
      readings.add(gauges.objectiveTarget, [label, "wait"], wait.target)
      readings.add(gauges.objectiveThreshold, [label, "wait"], wait.withinMs / 1000)
    }
    if (duration !== undefined) {
      readings.add(gauges.objectiveTarget, [label, "duration"], duration.target)
      readings.add(gauges.objectiveThreshold, [label, "duration"], duration.withinMs / 1000)
    }
  }
  readSlots(source, tasks, readings)
  for (const { name, nextAt = 0 } of source.schedules()) {
    const { label } = schedules.get(name)
    // Times of several schedules under one name would be the time of none.
    if (label !== other) readings.add(gauges.scheduleNext, [label], nextAt / 1000)
  }
  return readings
}

function readSlots(source: Source, tasks: Tasks, readings: Readings): void {
  const byLabel = new Map<string, { busy: number; idle: number; abandoned: number }>()
  for (const { task, busy, idle, abandoned } of source.slots()) {
    const { label } = tasks.get(task)
    const sum = byLabel.get(label) ?? { busy: 0, idle: 0, abandoned: 0 }
    sum.busy += busy
    sum.idle += idle
    sum.abandoned += abandoned
    byLabel.set(label, sum)
  }
  for (const state of gauges.workerSlots.attributes[1].values) {
    for (const [label, slots] of byLabel) readings.add(gauges.workerSlots, [label, state], slots[state])
  }
}

/** What is known of a process that has no app. */
export function readBuild(source: Source): Readings {
  const readings = new Readings()
  readings.add(gauges.buildInfo, [source.version, source.adapter], 1)
  return readings
}

/** The label of a task that only the store spoke of. */
export type LabelOf = (task: string) => string

/**
 * The first tasks by name keep theirs. It depends on nothing but the tasks that there are, so that two readers agree, and
 * one that was started anew with what it said before.
 */
export function firstByName(snapshot: QueueSnapshot, limit: number): LabelOf {
  const names = snapshot.tasks.map(({ task }) => task).filter((task) => task !== other)
  const kept = new Set(names.sort().slice(0, limit))
  return (task) => (kept.has(task) ? task : other)
}

/** What the store said of the whole cluster. */
export function readQueue(snapshot: QueueSnapshot, labelOf: LabelOf): Readings {
  const readings = new Readings()
  readings.add(gauges.workers, [], snapshot.workers)
  if (snapshot.workflows !== undefined) readings.add(gauges.workflowsActive, [], snapshot.workflows)
  for (const { task, info } of snapshot.tasks) {
    if (info === undefined || labelOf(task) === other) continue
    readings.add(gauges.taskInfo, [task, info.owner ?? "", info.runbook ?? ""], 1)
  }
  const queues = mergeUnlabelled(snapshot.tasks, labelOf)
  const states = gauges.queueJobs.attributes[1].values
  const transitions = counters.clusterTransitions.attributes[1].values
  for (const queue of queues) {
    for (const state of states) readings.add(gauges.queueJobs, [queue.task, state], queue[state])
    readings.add(gauges.taskPaused, [queue.task], queue.paused ? 1 : 0)
    readings.add(gauges.queueOldest, [queue.task], queue.oldestAt / 1000)
    readings.add(gauges.taskWorkers, [queue.task], queue.workers)
    for (const name of transitions) {
      readings.add(counters.clusterTransitions, [queue.task, name], queue.transitions[name] ?? 0)
    }
  }
  return readings
}

/** Tasks beyond the limit become one. */
function mergeUnlabelled(queues: readonly TaskQueue[], labelOf: LabelOf): readonly TaskQueue[] {
  const labelled: TaskQueue[] = []
  const rest: TaskQueue[] = []
  for (const queue of queues) (labelOf(queue.task) === other ? rest : labelled).push(queue)
  return rest.length === 0 ? labelled : [...labelled, rest.reduce(merge, emptyQueue())]
}

function emptyQueue(): TaskQueue {
  const transitions = Object.fromEntries(
    counters.clusterTransitions.attributes[1].values.map((name) => [name, 0]),
  ) as Record<TransitionName, number>
  const counts = { waiting: 0, parked: 0, delayed: 0, active: 0, oldestAt: 0, workers: 0 }
  return { task: other, ...counts, paused: false, transitions }
}

function merge(a: TaskQueue, b: TaskQueue): TaskQueue {
  const names = counters.clusterTransitions.attributes[1].values
  return {
    task: a.task,
    waiting: a.waiting + b.waiting,
    parked: a.parked + b.parked,
    paused: a.paused || b.paused,
    delayed: a.delayed + b.delayed,
    active: a.active + b.active,
    // 0 says that there is none.
    oldestAt:
      a.oldestAt === 0 || b.oldestAt === 0 ? a.oldestAt + b.oldestAt : Math.min(a.oldestAt, b.oldestAt),
    // One worker process runs many tasks: a sum would count it again and again.
    workers: Math.max(a.workers, b.workers),
    transitions: Object.fromEntries(
      names.map((name) => [name, (a.transitions[name] ?? 0) + (b.transitions[name] ?? 0)]),
    ) as Record<TransitionName, number>,
  }
}
