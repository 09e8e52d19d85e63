import type { App } from "../../src/index.ts"
import { summarizeDirectory } from "./directory.ts"
import { finalErrors } from "./errors.ts"
import { scanFile } from "./scan.ts"
import { removeOutput, slowScan } from "./slow.ts"

export type Tasks = ReturnType<typeof declareTasks>

/** Declares the three tasks. Every process that does so works on them once its app is started. */
export function declareTasks(taskora: App) {
  const info = { owner: "examples" }
  return {
    scan: taskora.task("scan-file", {
      handler: scanFile,
      concurrency: 8,
      timeout: "30s",
      retry: { attempts: 4, backoff: "exponential", delay: "300ms", noRetryOn: finalErrors },
      objectives: { success: 0.99, duration: { within: "250ms", target: 0.99 } },
      info,
    }),
    summarize: taskora.task("summarize-directory", {
      handler: summarizeDirectory(() => taskora.inspect()),
      concurrency: 4,
      retry: { attempts: 60, delay: "1s", backoff: "fixed" },
      info,
    }),
    slow: taskora.task("slow-scan", {
      handler: slowScan,
      timeout: "1m",
      onCancel: removeOutput,
      info,
    }),
  }
}
