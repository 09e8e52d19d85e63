// biome-ignore-all lint/correctness/noUnusedFunctionParameters: the page names whole payloads
import type { App, Task } from "../../src/index.ts"

/** What the examples of the events page call without saying what it is. */
export interface Surroundings {
  alertOncall(message: string): void
  readonly metrics: {
    increment(name: string, labels: Record<string, string>): void
    histogram(name: string, value: number, labels: Record<string, string>): void
  }
}

/** The page's first example, word for word. */
export function declaration(taskora: App): Task {
  const sendEmailTask = taskora.task("send-email", {
    handler: async (data, ctx) => {
      /* ... */
    },
  })
  return sendEmailTask as Task
}

/** The listeners that the page attaches to the task, word for word. */
export function taskEvents(sendEmailTask: Task, { alertOncall }: Surroundings): void {
  sendEmailTask.on("completed", ({ id, result, duration, attempt }) => {
    console.log(`Email sent in ${duration}ms (attempt ${attempt})`)
  })
  sendEmailTask.on("failed", ({ id, error, attempt, willRetry }) => {
    if (!willRetry) {
      alertOncall(`Email ${id} permanently failed: ${error}`)
    }
  })
  sendEmailTask.on("retrying", ({ id, attempt, nextAttempt, error }) => {
    console.log(`Retrying ${id}: attempt ${attempt} → ${nextAttempt}`)
  })
  sendEmailTask.on("progress", ({ id, progress }) => {
    console.log(`Job ${id} progress: ${JSON.stringify(progress)}`)
  })
  sendEmailTask.on("active", ({ id, attempt }) => {
    console.log(`Job ${id} started processing (attempt ${attempt})`)
  })
  sendEmailTask.on("stalled", ({ id, count, action }) => {
    console.log(`Job ${id} stalled (${action}: count ${count})`)
  })
  sendEmailTask.on("cancelled", ({ id, reason }) => {
    console.log(`Job ${id} cancelled: ${reason}`)
  })
}

/** The listeners that the page attaches to the app, word for word. */
export function appEvents(taskora: App, { metrics }: Surroundings): void {
  taskora.on("task:completed", ({ task, id, result, duration, attempt }) => {
    metrics.increment("jobs.completed", { task })
    metrics.histogram("jobs.duration", duration, { task })
  })
  taskora.on("task:failed", ({ task, id, error, attempt, willRetry }) => {
    if (!willRetry) {
      metrics.increment("jobs.failed", { task })
    }
  })
  taskora.on("task:active", ({ task, id, attempt }) => {
    metrics.increment("jobs.active", { task })
  })
  taskora.on("task:stalled", ({ task, id, count, action }) => {
    metrics.increment("jobs.stalled", { task, action })
  })
  taskora.on("task:cancelled", ({ task, id, reason }) => {
    metrics.increment("jobs.cancelled", { task })
  })
}

/** The page's listeners to the workers, word for word. */
export function workerEvents(taskora: App): void {
  taskora.on("worker:ready", () => {
    console.log("Workers started, processing jobs")
  })
  taskora.on("worker:error", (error) => {
    console.error("Worker error:", error)
  })
  taskora.on("worker:closing", () => {
    console.log("Workers shutting down...")
  })
}
