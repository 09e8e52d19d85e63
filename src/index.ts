import type { AppOptions } from "./app-options.ts"
import type { DispatchOptions } from "./dispatch-options.ts"
import type { JobInfo } from "./manage/job-info.ts"
import type { Context, MiddlewareContext } from "./model/context.ts"
import type { Duration } from "./model/duration.ts"
import type { AppEvents, EventMeta, TaskEvents } from "./model/events.ts"
import type { Observer } from "./model/observer.ts"
import type { JobState } from "./model/states.ts"
import type { Handler, TaskOptions } from "./rules/definition.ts"
import type { Middleware } from "./rules/middleware.ts"
import type { RetryOptions } from "./rules/retry.ts"
import type { Serializer } from "./rules/serializer.ts"
import type { Adapter } from "./store/store.ts"

export { createTaskora, type Taskora as App } from "./app.ts"
export type { AppOptions } from "./app-options.ts"
export { defineTask, type ImplementOptions, staticContract, type TaskContract } from "./contract.ts"
export type { DispatchOptions } from "./dispatch-options.ts"
export type { CancelAnswer, JobHandle } from "./handle.ts"
export type { CleanOptions } from "./manage/cleaner.ts"
export type {
  DeadLetterFilter,
  DeadLetterListOptions,
  DeadLetterPage,
  DeadLetters,
  DiscardAnswer,
  Retried,
  RetryAnswer,
} from "./manage/dead-letters.ts"
export type { ErrorFilter, ErrorKey } from "./manage/errors-alike.ts"
export type { ErrorGroup } from "./manage/groups.ts"
export type { Inspector, JobPage, ListOptions, TaskStats, WorkerInfo } from "./manage/inspector.ts"
export type { JobInfo, JobLogLine, TimelineEntry } from "./manage/job-info.ts"
export type { MigrationState } from "./manage/migrations.ts"
export type { ScheduleInfo, Schedules } from "./manage/schedules.ts"
export type { Clock } from "./model/clock.ts"
export type { Context, JobLog, MiddlewareContext } from "./model/context.ts"
export type { Duration } from "./model/duration.ts"
export * from "./model/errors.ts"
export type * from "./model/events.ts"
export type * from "./model/observer.ts"
export type { Keep, RetentionOptions } from "./model/options.ts"
export type { Schema, SchemaIssue, SchemaResult } from "./model/standard-schema.ts"
export type { JobState } from "./model/states.ts"
export type { Handler, ObjectiveOptions, TaskDefaults, TaskOptions } from "./rules/definition.ts"
export type { Middleware } from "./rules/middleware.ts"
export type { RetryOptions } from "./rules/retry.ts"
export type {
  OnMissed,
  ScheduleChanges,
  ScheduledTask,
  ScheduleOptions,
  TaskSchedule,
} from "./rules/schedule.ts"
export { json, type Serializer } from "./rules/serializer.ts"
export { into, type MigrationRecord, type MigrationStep, type Migrations } from "./rules/versions.ts"
export type { Adapter } from "./store/store.ts"
export type { Task } from "./task.ts"
export type { InferInput, InferOutput, Typed } from "./task-types.ts"
export {
  type AnyComposition,
  Composition,
  chain,
  chord,
  group,
  type NodeOptions,
  type OutputOf,
  type WorkflowOptions,
} from "./workflow/composition.ts"
export type { WorkflowGraph, WorkflowHandle, WorkflowNode } from "./workflow/handle.ts"

/** The types under one name, for those who like `Taskora.Context`. */
export declare namespace Taskora {
  export type {
    Adapter,
    AppEvents,
    AppOptions,
    Context,
    DispatchOptions,
    Duration,
    EventMeta,
    Handler,
    JobInfo,
    JobState,
    Middleware,
    MiddlewareContext,
    Observer,
    RetryOptions,
    Serializer,
    TaskEvents,
    TaskOptions,
  }
}
